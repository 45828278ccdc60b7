// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "team.hpp"
#include "work.hpp"

#include <algorithm>
#include <functional>
#include <iterator>
#include <numeric>
#include <ranges>
#include <stdexcept>
#include <string>
#include <vector>

namespace rv = rankview;
using namespace std::chrono_literals;

// What engines do together: collectives, and tasks of teams. Where an engine has died or was silent meanwhile, what others have of it is
// partial; where none was, everything is exact.
namespace sim {
namespace {

using boost::mpi::communicator;

int together(const communicator& comm, int n) {
  SimTeam& team = SimTeam::of(comm);
  take_time();
  if (team.sum(n) != n * static_cast<int>(team.engines())) world().give_up("a team is in two tasks");
  take_time();
  return 2 * n;
}
int where_in_team(const communicator& comm) {
  SimTeam& team = SimTeam::of(comm);
  return team.sum(1) * 100 + team.rank();
}
// One of the team throws, when nobody waits for it any more.
int one_throws(const communicator& comm, int n) {
  SimTeam& team = SimTeam::of(comm);
  if (team.sum(n) != n * static_cast<int>(team.engines())) world().give_up("a team is in two tasks");
  take_time();
  if (n % 2 == 1 && team.rank() == n % static_cast<int>(team.engines())) throw std::domain_error("odd");
  return n;
}
int until_all_stop(const communicator& comm) {
  SimTeam& team = SimTeam::of(comm);
  world().wait_until([&team] { return team.sum(rv::this_task::stop_requested() ? 1 : 0) != 0; });
  return 1;
}
void set_variable(const std::string& name, int value) {
  take_time();
  rv::this_engine::vars().set(name, value);
}
void set_text(const std::string& name) { rv::this_engine::vars().set(name, std::to_string(rv::this_engine::id())); }
void set_array(const std::string& name, int length) {
  take_time();
  rv::this_engine::vars().set(name, std::vector<int>(static_cast<std::size_t>(length), rv::this_engine::id()));
}

// Whether what others build on has come about.
template <class T>
bool came_about(const rv::AsyncResult<T>& result) {
  try {
    static_cast<void>(result.get());
    return true;
  } catch (const rv::EngineError& error) {
    expect(world().deaths() != 0, error.what());
  } catch (const rv::CompositeError& error) {
    expect(world().disturbed(), error.what());
  } catch (const rv::RemoteError& error) {
    expect(world().disturbed(), error.what());
  }
  return false;
}

// The value of a collective on variables that were made before, which some engine may not have if any was silent then.
template <class T, class Right>
void check_exact(const rv::AsyncResult<T>& result, Right right) {
  try {
    Work::check_value(result, [&right](const auto& value) { return world().disturbed() || right(value); });
  } catch (const rv::RemoteError& error) {
    expect(world().disturbed(), error.what());
  } catch (const rv::UsageError& error) {
    expect(world().disturbed(), error.what());
  }
}
void check_exact(const rv::AsyncResult<void>& result) {
  try {
    Work::check_void(result);
  } catch (const rv::RemoteError& error) {
    expect(world().disturbed(), error.what());
  } catch (const rv::UsageError& error) {
    expect(world().disturbed(), error.what());
  }
}

// All engines, in an order that is drawn, or some of them.
rv::DirectView some_engines(const Work& work) {
  if (world().chance(40)) return work.client()[rv::all];
  std::vector<int> ids = work.client().ids();
  for (std::size_t i = ids.size(); i > 1; --i) std::swap(ids[i - 1], ids[world().draw(i)]);
  if (!ids.empty()) ids.resize(1 + world().draw(ids.size()));
  return work.client()[ids];
}

rv::Distribution some_distribution() { return world().chance(50) ? rv::block : rv::round_robin; }

template <class T>
void scatter_and_gather(Work& work, const std::vector<T>& values) {
  const std::string name = work.name();
  const rv::DirectView view = some_engines(work);
  const rv::Distribution dist = some_distribution();
  const auto scattered = view.scatter(name, values, {.dist = dist});
  work.keep(view.template gather<T>(name, {.dist = dist}), [scattered, values](const auto& gathered) {
    came_about(scattered);
    check_exact(gathered, [&values](const std::vector<T>& all) { return all == values; });
  });
}
void scatter_numbers(Work& work) {
  std::vector<int> values(world().draw(50));
  std::iota(values.begin(), values.end(), 0);
  scatter_and_gather(work, values);
}
void scatter_texts(Work& work) {
  std::vector<std::string> values;
  for (std::uint64_t i = world().draw(20); i > 0; --i) values.push_back("text " + std::to_string(i));
  scatter_and_gather(work, values);
}
// Both wait.
void scatter_at_once(Work& work) {
  const std::string name = work.name();
  const rv::DirectView all = work.client()[rv::all];
  std::vector<double> values(world().draw(30), 1.5);
  try {
    all.scatter_sync(name, values);
    std::vector<double> into(values.size());
    all.gather_into_sync(name, into);
    expect(into == values || world().disturbed(), "what was scattered");
  } catch (const rv::EngineError& error) {
    expect(world().deaths() != 0, error.what());
  } catch (const rv::CompositeError& error) {
    expect(world().disturbed(), error.what());
  } catch (const rv::RemoteError& error) {
    expect(world().disturbed(), error.what());
  } catch (const rv::UsageError& error) {
    expect(world().disturbed(), error.what());
  }
}
void push_and_pull(Work& work) {
  const std::string name = work.name();
  const rv::DirectView view = some_engines(work);
  const std::vector<double> values(world().chance(50) ? 5'000 : 5, work.number());
  const auto pushed = view.push(name, values);
  work.keep(view.pull<std::vector<double>>(name), [pushed, values](const auto& pulled) {
    came_about(pushed);
    check_exact(pulled, [&values](const std::vector<std::vector<double>>& all) {
      return std::all_of(all.begin(), all.end(), [&values](const auto& one) { return one == values; });
    });
  });
}
void push_texts(Work& work) {
  const std::string name = work.name();
  const rv::DirectView view = some_engines(work);
  const std::vector<std::string> values(world().chance(50) ? 3'000 : 3, "some text");
  const auto pushed = view.push(name, values);
  work.keep(view.pull<std::vector<std::string>>(name), [pushed, values](const auto& pulled) {
    came_about(pushed);
    check_exact(pulled, [&values](const auto& all) { return all.empty() || all.front() == values; });
  });
}
void reduce(Work& work) {
  const std::string name = work.name();
  const rv::DirectView view = some_engines(work);
  const int n = work.number();
  const int engines = static_cast<int>(view.size());
  if (engines == 0) return;
  const auto set = view.apply(set_variable, name, n);
  const auto check = [set](const auto& reduced, auto right) {
    came_about(set);
    check_exact(reduced, right);
  };
  work.keep(view.reduce<int>(name, std::plus<>()), [=](const auto& sum) { check(sum, [=](int value) { return value == n * engines; }); });
  if (world().chance(50)) return;
  work.keep(view.reduce_all<int>(name, rv::max), [=](const auto& most) { check(most, [=](int value) { return value == n; }); });
}
// In target order, along a tree.
void reduce_texts(Work& work) {
  const std::string name = work.name();
  const rv::DirectView view = some_engines(work);
  std::string right;
  for (const int id : view.targets()) right += std::to_string(id);
  if (right.empty()) return;
  const auto set = view.apply(set_text, name);
  work.keep(view.reduce<std::string>(name, std::plus<>()), [set, right](const auto& text) {
    came_about(set);
    check_exact(text, [&right](const std::string& value) { return value == right; });
  });
}
void reduce_arrays(Work& work) {
  const std::string name = work.name();
  const rv::DirectView view = some_engines(work);
  const int length = 1 + static_cast<int>(world().draw(20));
  const std::vector<int> ids = view.targets();
  if (ids.empty()) return;
  const int sum = std::accumulate(ids.begin(), ids.end(), 0);
  const auto set = view.apply(set_array, name, length);
  const auto right = [=](const std::vector<int>& all) { return all == std::vector<int>(static_cast<std::size_t>(length), sum); };
  if (world().chance(50)) {
    work.keep(view.reduce<std::vector<int>>(name, std::plus<>()), [set, right](const auto& all) {
      came_about(set);
      check_exact(all, right);
    });
    return;
  }
  const std::string into = work.name();
  const auto reduced = view.allreduce<std::vector<int>>(name, into, std::plus<>());
  work.keep(view.pull<std::vector<int>>(into), [set, reduced, right](const auto& pulled) {
    came_about(set);
    came_about(reduced);
    check_exact(pulled, [&right](const auto& all) { return std::all_of(all.begin(), all.end(), right); });
  });
}
void allgather(Work& work) {
  const std::string name = work.name();
  const std::string into = work.name();
  const rv::DirectView view = some_engines(work);
  const int length = static_cast<int>(world().draw(5));
  std::vector<int> right;
  for (const int id : view.targets()) right.insert(right.end(), static_cast<std::size_t>(length), id);
  const auto set = view.apply(set_array, name, length);
  const auto gathered = view.allgather<int>(name, into);
  work.keep(view.pull<std::vector<int>>(into), [set, gathered, right](const auto& pulled) {
    came_about(set);
    came_about(gathered);
    check_exact(pulled, [&right](const auto& all) {
      return std::all_of(all.begin(), all.end(), [&right](const auto& one) { return one == right; });
    });
  });
}
void broadcast(Work& work) {
  const std::string name = work.name();
  const rv::DirectView view = some_engines(work);
  const std::vector<int> ids = view.targets();
  if (ids.empty()) return;
  const int from = ids[world().draw(ids.size())];
  try {
    const auto set = work.client()[from].apply(set_text, name);
    const auto shared = view.broadcast(from, name);
    work.keep(view.pull<std::string>(name), [set, shared, from](const auto& pulled) {
      came_about(set);
      came_about(shared);
      check_exact(pulled, [from](const std::vector<std::string>& all) {
        return std::all_of(all.begin(), all.end(), [from](const std::string& one) { return one == std::to_string(from); });
      });
    });
  } catch (const std::out_of_range& error) {
    expect(world().disturbed(), error.what());
  }
}
void barrier(Work& work) {
  work.keep(some_engines(work).barrier(), [](const auto& over) { check_exact(over); });
}
// One engine does not have what all are to give.
void nobody_takes_part(Work& work) {
  const std::string name = work.name();
  const rv::DirectView view = some_engines(work);
  const std::vector<int> ids = view.targets();
  if (ids.size() < 2) return;
  const auto set = view.apply(set_array, name, 3);
  const auto erased = work.client()[ids[world().draw(ids.size())]].erase(name);
  work.keep(view.gather<int>(name), [set, erased](const auto& gathered) {
    came_about(set);
    came_about(erased);
    try {
      static_cast<void>(gathered.get());
      expect(world().disturbed(), "what nobody could take part in came about");
    } catch (const rv::NameError&) {
      return;
    } catch (const rv::TaskAborted&) {
      return;
    } catch (const rv::CompositeError&) {
      return;
    }
  });
}

// ---- tasks of teams ----------------------------------------------------------------------------------------------------------

void apply_together(Work& work) {
  const rv::DirectView view = some_engines(work);
  const auto engines = static_cast<int>(view.size());
  work.keep(view.apply(where_in_team), [engines](const auto& result) {
    Work::check_value(result, [engines](const std::vector<int>& places) {
      if (static_cast<int>(places.size()) != engines) return world().disturbed();
      for (int i = 0; i < engines; ++i) {
        if (places[static_cast<std::size_t>(i)] != engines * 100 + i) return false;
      }
      return true;
    });
  });
}
rv::TeamView some_teams(const Work& work) {
  const std::size_t engines = work.client().size();
  if (engines == 0) throw rv::UsageError("no engines");
  return work.client().team_view(1 + static_cast<int>(world().draw(engines)));
}
// There may be none any more when it is asked for.
template <class Verb>
void with_teams(Work& work, Verb verb) {
  try {
    verb(some_teams(work));
  } catch (const rv::UsageError& error) {
    expect(world().disturbed(), error.what());
  }
}
void map_of_teams(Work& work) {
  with_teams(work, [&work](const rv::TeamView& teams) {
    const int n = static_cast<int>(world().draw(10));
    auto view = teams;
    if (world().chance(30)) view = view.with({.queue_timeout = std::chrono::microseconds(1 + world().draw(3'000))});
    if (world().chance(30)) view = view.with({.on_engine_death = rv::fail});
    work.keep(view.map(together, std::views::iota(0, n)), [n](const auto& result) {
      result.wait();
      for (int i = 0; i < n; ++i) {
        try {
          expect(result[static_cast<std::size_t>(i)] == 2 * i, "an item of a team");
        } catch (const rv::TimeoutError&) {
          continue;
        } catch (const rv::TaskAborted&) {
          continue;
        } catch (const rv::Draining&) {
          continue;
        } catch (const rv::EngineError& error) {
          expect(world().deaths() != 0, error.what());
        }
      }
    });
  });
}
void one_of_a_team_throws(Work& work) {
  with_teams(work, [&work](const rv::TeamView& teams) {
    const int n = work.number();
    work.keep(teams.apply(one_throws, n), [n](const auto& result) {
      try {
        Work::check_value(result, [n](int value) { return value == n && n % 2 == 0; });
      } catch (const rv::RemoteError& error) {
        expect(n % 2 == 1 && error.message() == "odd", error.what());
      }
    });
    // Those that come behind it have another communicator.
    work.keep(teams.apply(together, n), [n](const auto& result) { Work::check_value(result, [n](int value) { return value == 2 * n; }); });
  });
}
void stop_a_team(Work& work) {
  with_teams(work, [&work](const rv::TeamView& teams) {
    const auto result = teams.apply(until_all_stop);
    world().sleep(std::chrono::microseconds(world().draw(500)));
    result.abort();
    work.keep(result, [](const auto& stopped) { Work::check_value(stopped, [](int value) { return value == 1; }); });
  });
}

}  // namespace

void do_together(Work& work) {
  using Verb = void (*)(Work&);
  static constexpr Verb verbs[] = {
      scatter_numbers, scatter_texts, scatter_at_once, push_and_pull,     push_texts,     reduce,       reduce_texts,         reduce_arrays,
      allgather,       broadcast,     barrier,         nobody_takes_part, apply_together, map_of_teams, one_of_a_team_throws, stop_a_team};
  try {
    verbs[world().draw(std::size(verbs))](work);
  } catch (const rv::EngineError& error) {
    // A view that names it.
    expect(world().deaths() != 0, error.what());
  }
}

}  // namespace sim
