// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.

// Codes that own MPI and use a Cluster in it; the first argument says which.
#include "check.hpp"

#include <rankview/rankview.hpp>

#include <mpi.h>
#include <atomic>
#include <boost/mpi/collectives.hpp>
#include <boost/mpi/communicator.hpp>
#include <boost/mpi/environment.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace rv = rankview;
using namespace std::chrono_literals;

namespace {

int world_rank() {
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return rank;
}

int world_size() {
  int size = 0;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  return size;
}

int square(int n) { return n * n; }

// Some of everything, on however many engines there are.
void work(rv::Client& rc) {
  std::vector<int> squares(500);
  for (std::size_t n = 0; n < squares.size(); ++n) squares[n] = square(static_cast<int>(n));
  const rv::DirectView all = rc[rv::all];
  check::that(all.apply_sync(rv::this_engine::id) == rc.ids(), "apply");
  check::that(rc.load_balanced_view().map_sync(square, std::views::iota(0, 500)) == squares, "balanced map");
  check::that(all.map(square, std::views::iota(0, 500)).get(60s) == squares, "direct map");
  const std::vector<double> values(100'000, 1.5);
  all["x"] = values;
  check::that(all["x"].get<std::vector<double>>() == std::vector(rc.size(), values), "push and pull");
  const auto later = rc.load_balanced_view().map(
      [](int n) {
        std::this_thread::sleep_for(1ms);
        return n;
      },
      std::views::iota(0, 50));
  int next = 0;
  for (const int n : later) check::that(n == next++, "iteration");
  check::throws<rv::RemoteError>("a task's error", [&] { rc[0].apply_sync([] { throw 1; }); });
  all.clear_sync();
}

// A second thread of the client, where perhaps only the main one may call MPI: somebody who may must wait beside it.
void work_in_threads(rv::Client& rc) {
  std::atomic<int> sum = 0;
  std::thread other([&] { sum = rc[0].apply_sync([](int a, int b) { return a + b; }, 2, 3); });
  for (const auto end = std::chrono::steady_clock::now() + 30s; sum == 0 && std::chrono::steady_clock::now() < end;) rc.spin();
  check::that(sum == 5, "a second thread of the client");
  if (sum != 0) {
    other.join();
  } else {
    other.detach();
  }
}

using Scenario = void (*)(const std::vector<std::string>&);

void level(const std::vector<std::string>&) {
  rv::Cluster cluster(MPI_COMM_WORLD);
  check::that(cluster.rank() == world_rank() && cluster.size() == world_size(), "rank and size");
  cluster.run(work);
  cluster.run(work_in_threads);
}

// Teams and what engines hold outlast a run, also one that fails with collectives under way.
void collectives(const std::vector<std::string>&) {
  rv::Cluster cluster(MPI_COMM_WORLD);
  const std::vector<int> numbers = {3, 1, 4, 1, 5, 9, 2, 6};
  for (int round = 0; round < 4; ++round) {
    cluster.run([&](rv::Client& rc) {
      const auto all = rc[rv::all];
      if (round > 0) check::that(all.gather_sync<int>("x") == numbers, "what an earlier run has scattered");
      all.scatter_sync("x", numbers);
      all.apply_sync([](const boost::mpi::communicator& comm) { comm.barrier(); });
    });
    MPI_Barrier(MPI_COMM_WORLD);
  }
  bool thrown = false;
  try {
    cluster.run([&](rv::Client& rc) {
      const auto all = rc[rv::all];
      const auto late = rc[0].apply([] { std::this_thread::sleep_for(200ms); });
      all.scatter("y", std::vector<int>(100'000));
      const auto gathered = all.gather<int>("y");
      const auto group = all.apply([](const boost::mpi::communicator& comm) { comm.barrier(); });
      while (late.metadata().status == rv::Status::waiting) rc.spin();
      throw std::runtime_error("with collectives under way");
    });
  } catch (const std::exception& error) {
    thrown = std::string(error.what()).find("with collectives under way") != std::string::npos;
  }
  check::that(thrown, "a client that throws with collectives under way");
  MPI_Barrier(MPI_COMM_WORLD);
  cluster.run([&](rv::Client& rc) {
    check::that(rc[rv::all].gather_sync<int>("x") == numbers, "the variable after a run that failed");
    check::that(rc[rv::all].reduce_all_sync<int>("x", std::plus<>()) == 31, "a reduction after a run that failed");
  });
}

void several(const std::vector<std::string>&) {
  rv::Cluster cluster(MPI_COMM_WORLD);
  for (int round = 1; round <= 5; ++round) {
    const std::size_t engines = cluster.run([round](rv::Client& rc) {
      // Variables live as long as the cluster.
      if (round == 1) rc[rv::all]["rounds"] = 0;
      rc[rv::all].apply_sync([](int& rounds) { ++rounds; }, rv::ref("rounds"));
      check::that(rc[rv::all]["rounds"].get<int>() == std::vector<int>(rc.size(), round),
                  "the variable after round " + std::to_string(round));
      return rc.size();
    });
    // Only rank 0 has the value.
    const auto wanted = static_cast<std::size_t>(world_rank() != 0 ? 0 : world_size() == 1 ? 1 : world_size() - 1);
    check::that(engines == wanted, "the value of run()");
    // Between two runs MPI is the code's own.
    int sum = 0;
    const int one = 1;
    MPI_Allreduce(&one, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    check::that(sum == world_size(), "an MPI_Allreduce between two runs");
  }
  const std::string text = cluster.run([](rv::Client& rc) { return rc[0].apply_sync([] { return std::string("text"); }); });
  check::that(text == (world_rank() == 0 ? "text" : ""), "a string from run()");
  const auto pointer = cluster.run([](rv::Client&) { return std::make_unique<int>(3); });
  check::that((pointer != nullptr) == (world_rank() == 0), "a move-only value from run()");

  // A new cluster starts without variables.
  rv::Cluster fresh(MPI_COMM_WORLD);
  fresh.run([](rv::Client& rc) {
    for (const auto& names : rc[rv::all].names_sync()) check::that(names.empty(), "a new cluster's variables");
  });
  // Both at the same time, though not in each other.
  cluster.run(work);
  fresh.run(work);
}

void boost_communicator(const std::vector<std::string>&) {
  const boost::mpi::communicator world;
  rv::Cluster cluster(world);
  cluster.run(work);
  const int sum = boost::mpi::all_reduce(world, 1, std::plus<>());
  check::that(sum == world.size(), "boost::mpi beside it");
  cluster.run(work);
}

void split(const std::vector<std::string>&) {
  const int color = world_rank() % 2;
  MPI_Comm half = MPI_COMM_NULL;
  MPI_Comm_split(MPI_COMM_WORLD, color, world_rank(), &half);
  {
    rv::Cluster cluster(half);
    const int sum = cluster.run([color](rv::Client& rc) {
      work(rc);
      const auto values = rc.load_balanced_view().map_sync([](int n, int c) { return n + 1000 * c; }, std::views::iota(0, 300),
                                                           std::vector<int>(300, color));
      return std::accumulate(values.begin(), values.end(), 0);
    });
    int rank = 0;
    MPI_Comm_rank(half, &rank);
    check::that(sum == (rank == 0 ? 299 * 300 / 2 + 300'000 * color : 0), "each half's own sum");
    // One over everybody, while each half has its own.
    rv::Cluster whole(MPI_COMM_WORLD);
    whole.run(work);
    cluster.run(work);
  }
  MPI_Comm_free(&half);
}

struct Own {
  int number;
};

void throwing(const std::vector<std::string>&) {
  rv::Options options;
  options.shutdown_grace = 20s;
  rv::Cluster cluster(MPI_COMM_WORLD, options);
  cluster.run([](rv::Client& rc) { rc[rv::all]["kept"] = 7; });
  for (int round = 0; round < 3; ++round) {
    const auto fail = [&cluster, round] {
      cluster.run([round](rv::Client& rc) {
        const auto running = rc.load_balanced_view().map(
            [](int n) {
              std::this_thread::sleep_for(1ms);
              return n;
            },
            std::views::iota(0, 1000));
        const auto longer = rc[rv::all].apply([] { return std::vector<double>(50'000, 1.0); });
        if (round == 0) static_cast<void>(*running.begin());
        if (round == 2) throw Own{3};
        throw std::runtime_error("the client's own");
      });
    };
    if (world_rank() != 0) {
      try {
        fail();
        check::that(false, "no error on an engine");
      } catch (const rv::Error& error) {
        check::that(check::contains(error.what(), round == 2 ? "client" : "the client's own"),
                    std::string("the error on an engine: ") + error.what());
      }
    } else if (round == 2) {
      try {
        fail();
        check::that(false, "no exception on rank 0");
      } catch (const Own& own) {
        check::that(own.number == 3, "the exception on rank 0");
      }
    } else {
      try {
        fail();
        check::that(false, "no exception on rank 0");
      } catch (const std::runtime_error& error) {
        check::that(std::string(error.what()) == "the client's own", "the exception on rank 0");
      }
    }
    // As good as before.
    int sum = 0;
    const int one = 1;
    MPI_Allreduce(&one, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    cluster.run([](rv::Client& rc) {
      check::that(rc[rv::all]["kept"].get<int>() == std::vector<int>(rc.size(), 7), "variables after a failed run");
      rc[rv::all].apply_sync([] {});
    });
    cluster.run([](rv::Client& rc) {
      check::that(rc.load_balanced_view().map_sync(square, std::views::iota(0, 10)).back() == 81, "a map after a failed run");
    });
  }
}

void task_throws(const std::vector<std::string>&) {
  rv::Cluster cluster(MPI_COMM_WORLD);
  const auto fail = [&] { cluster.run([](rv::Client& rc) { rc[0].apply_sync([] { throw std::domain_error("in a task"); }); }); };
  if (world_rank() == 0) {
    check::throws<rv::RemoteError>("a task's error leaves run() on rank 0", fail);
  } else {
    check::throws<rv::Error>("a failed run on an engine", fail);
  }
  cluster.run(work);
}

void usage(const std::vector<std::string>&) {
  check::throws<rv::UsageError>("MPI_COMM_NULL", [] { rv::Cluster cluster(MPI_COMM_NULL); });
  if (world_size() > 1) {
    MPI_Comm half = MPI_COMM_NULL;
    MPI_Comm inter = MPI_COMM_NULL;
    const int color = world_rank() == 0 ? 0 : 1;
    MPI_Comm_split(MPI_COMM_WORLD, color, world_rank(), &half);
    MPI_Intercomm_create(half, 0, MPI_COMM_WORLD, 1 - color, 0, &inter);
    check::throws<rv::UsageError>("an inter-communicator", [&] { rv::Cluster cluster(inter); });
    MPI_Comm_free(&inter);
    MPI_Comm_free(&half);
  }
  // What was made in a run cannot be used for calls after it, but what has arrived can be read.
  rv::Cluster cluster(MPI_COMM_WORLD);
  std::optional<rv::DirectView> view;
  std::optional<rv::LoadBalancedView> pool;
  std::optional<rv::AsyncResult<std::vector<int>>> result;
  std::optional<rv::AsyncResult<void>> failed;
  cluster.run([&](rv::Client& rc) {
    view = rc[rv::all];
    pool = rc.load_balanced_view();
    result = pool->map(square, std::vector{1, 2, 3});
    failed = pool->apply([] { throw 1; });
  });
  if (world_rank() == 0) {
    check::throws<rv::UsageError>("a view after its run", [&] { view->apply_sync([] {}); });
    check::throws<rv::UsageError>("a balanced view after its run", [&] { pool->map(square, std::vector{1}); });
    check::that(result->ready() && result->successful(), "a result after its run");
    check::that(result->get() == std::vector{1, 4, 9}, "a result's value after its run");
    check::throws<rv::RemoteError>("a result's error after its run", [&] { failed->get(); });
    check::that(result->metadata(1).status == rv::Status::completed, "metadata after the run");
  }
  cluster.run(work);
  if (world_rank() == 0) {
    check::throws<rv::UsageError>("an old view in a new run's time", [&] { view->apply_sync([] {}); });
    check::that(result->get()[2] == 9, "an old result");
  }
}

// Tasks on engines that use MPI's own communication among themselves on another communicator.
void nested(const std::vector<std::string>&) {
  rv::Cluster cluster(MPI_COMM_WORLD);
  static MPI_Comm engines = MPI_COMM_NULL;
  MPI_Comm_split(MPI_COMM_WORLD, world_rank() == 0 && world_size() > 1 ? MPI_UNDEFINED : 0, world_rank(), &engines);
  cluster.run([](rv::Client& rc) {
    const auto sums = rc[rv::all].apply_sync([] {
      int sum = 0;
      const int one = 1;
      MPI_Allreduce(&one, &sum, 1, MPI_INT, MPI_SUM, engines);
      return sum;
    });
    check::that(sums == std::vector<int>(rc.size(), static_cast<int>(rc.size())), "a sum over the engines");
  });
  if (engines != MPI_COMM_NULL) MPI_Comm_free(&engines);
}

// rv::run() where MPI is initialised already: it leaves it so. Every rank returns the same.
void run(const std::vector<std::string>&) {
  static char name[] = "embedded";
  static char* arguments[] = {name, nullptr};
  const auto returned = [](const auto& client) { return rv::run(1, arguments, client); };
  check::that(returned(work) == 0, "what rv::run returns for void");
  check::that(returned([](rv::Client& rc) {
                work(rc);
                return 5;
              }) == 5,
              "what rv::run returns for 5");
  check::that(returned([](rv::Client&) { throw std::runtime_error("on purpose"); }) == 1, "what rv::run returns for an exception");
  check::that(returned([](rv::Client&) { throw 1; }) == 1, "what rv::run returns for any exception");
  check::that(returned([](rv::Client& rc) { rc[0].apply_sync([] { throw 1; }); }) == 1, "what rv::run returns for a failed task");
  int finalised = 0;
  MPI_Finalized(&finalised);
  check::that(finalised == 0, "MPI is still there");
  int sum = 0;
  const int one = 1;
  MPI_Allreduce(&one, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
  check::that(sum == world_size(), "and works");
}

// Ranks that come to a run at very different times, and a client that does nothing.
void late(const std::vector<std::string>&) {
  rv::Cluster cluster(MPI_COMM_WORLD);
  for (int round = 0; round < 3; ++round) {
    if (world_rank() % 3 == round) std::this_thread::sleep_for(50ms);
    cluster.run([](rv::Client&) {});
    cluster.run(work);
  }
  for (int round = 0; round < 50; ++round) cluster.run([](rv::Client& rc) { rc[0].apply([] {}); });
}

// Runs that end while engines still take in what another one delivers to tasks that were given up, and runs right after them.
void forwarding(const std::vector<std::string>&) {
  rv::Cluster cluster(MPI_COMM_WORLD);
  const auto make = [](std::size_t size) { return std::vector<double>(size, 1.0); };
  const auto look = [](const std::vector<double>& v) { return v.front(); };
  const auto sit = [] {
    while (!rv::this_task::stop_requested()) std::this_thread::sleep_for(100us);
  };
  for (int round = 0; round < 5; ++round) {
    cluster.run([&](rv::Client& rc) {
      const auto made = rc[1].apply(make, std::size_t{8} << 20);
      made.wait();
      const auto sitting = rc[0].apply(sit);
      std::vector<rv::AsyncResult<double>> looks;
      for (int i = 0; i < 4; ++i) looks.push_back(rc[0].apply(look, made));
      while (looks.back().metadata(0).status == rv::Status::waiting) rc.spin();
      for (const auto& given_up : looks) given_up.abort();
      sitting.abort();
      sitting.wait();
      for (const auto& given_up : looks) check::throws<rv::TaskAborted>("a task that was given up", [&] { given_up.get(); });
    });
    cluster.run([&](rv::Client& rc) {
      const auto made = rc[2].apply(make, std::size_t{10'000});
      check::that(rc[0].apply(look, made).get(20s) == 1, "a delivery in the next run");
    });
    cluster.run([&](rv::Client& rc) {
      const auto sitting = rc[0].apply(sit);
      while (sitting.metadata(0).status == rv::Status::waiting) rc.spin();
      sitting.abort();
      check::that(sitting.wait(20s), "a task of the next run sees that it is given up");
    });
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  const std::map<std::string, Scenario> scenarios = {
      {"level", level},    {"several", several}, {"boost", boost_communicator}, {"split", split},
      {"throw", throwing}, {"usage", usage},     {"task_throws", task_throws},  {"nested", nested},
      {"run", run},        {"late", late},       {"collectives", collectives},  {"forwarding", forwarding}};
  if (words.at(0) == "usage") check::throws<rv::UsageError>("before MPI_Init", [] { rv::Cluster cluster(MPI_COMM_WORLD); });

  const std::map<std::string, int> levels = {{"SINGLE", MPI_THREAD_SINGLE},
                                             {"FUNNELED", MPI_THREAD_FUNNELED},
                                             {"SERIALIZED", MPI_THREAD_SERIALIZED},
                                             {"MULTIPLE", MPI_THREAD_MULTIPLE}};
  int provided = 0;
  MPI_Init_thread(&argc, &argv, words.size() > 1 ? levels.at(words[1]) : MPI_THREAD_MULTIPLE, &provided);
  scenarios.at(words[0])(words);
  const int code = check::finish();
  MPI_Finalize();
  return code;
}
