// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "driven_scheduler.hpp"
#include "scheduler/dependencies.hpp"

#include <cstdlib>
#include <memory>
#include <numeric>
#include <random>
#include <set>
#include <string>

// Random histories of everything that can happen to tasks, beside a model that is too simple to be wrong: it looks at every task and every
// engine each time.
using namespace test;

namespace {

void require(bool holds, const char* what) {
  if (!holds) FAIL("does not hold: " << what);
}

enum class State : std::uint8_t { blocked, waiting, in_hand, well, failed };

bool over(State state) { return state == State::well || state == State::failed; }

struct Task {
  State state = State::blocked;
  int engine = -1;  // who has it, or ran it last; -1 if it never ran
  int retries = 0;
  std::vector<int> tried;
  std::vector<int> refused;
};

struct Condition {
  Rule rule;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> on;  // call and task, or Dependencies::every
};

struct Call {
  Work work;
  Placement::Kind kind = Placement::Kind::anyone;
  std::vector<int> engines;
  std::vector<Task> tasks;
  std::set<std::uint64_t> boundaries;
  std::optional<Condition> after;
  std::optional<Condition> follow;
  bool followed = false;  // its engines are those where it follows
  bool aborted = false;
  bool split = false;  // some of it was run again one by one
  Dependencies::Node node = Dependencies::none;

  [[nodiscard]] Placement placement() const { return {kind, engines.empty() ? -1 : engines.front(), &engines, nullptr}; }
};

// That it all happened.
struct Seen {
  std::uint64_t again = 0;
  std::uint64_t recalled = 0;
  std::uint64_t lost = 0;
  std::uint64_t stranded = 0;
  std::uint64_t withdrawn = 0;
  std::uint64_t met = 0;
  std::uint64_t followed = 0;
  std::uint64_t impossible = 0;
  std::uint64_t aside = 0;
  std::uint64_t back = 0;
  std::uint64_t paused = 0;
  std::uint64_t at_once = 0;
  std::uint64_t beside = 0;
};

class History {
 public:
  History(std::uint32_t seed, Seen& seen) : seen_(seen), random_(seed), engines_(1 + static_cast<int>(any(4))) {
    const bool slotted = any(2) == 0;
    for (int id = 0; id < engines_; ++id) {
      slots_.push_back(static_cast<std::uint16_t>(slotted ? 1 + any(4) : 1));
      scheduler_.add_engine(id, slots_.back());
    }
    held_.resize(static_cast<std::size_t>(engines_));
  }

  void run() {
    const int steps = 10 + static_cast<int>(any(50));
    for (int step = 0; step < steps; ++step) {
      now_ += static_cast<Nanoseconds>(any(200'000));
      switch (any(16)) {
        case 0:
        case 1:
        case 2:
        case 3:
          submit();
          break;
        case 4:
        case 5:
        case 6:
          hand_out();
          break;
        case 7:
          recall();
          break;
        case 8:
          if (any(4) == 0) abort();
          if (any(4) == 0) abort_one();
          break;
        case 9:
          if (any(12) == 0) lose();
          if (any(6) == 0) set_aside();
          if (any(3) == 0) take_back();
          if (any(6) == 0) pause();
          break;
        default:
          end_something();
      }
      check_conditions();
    }
    scheduler_.resume();
    for (int rounds = 0;; ++rounds) {
      require(rounds < 100'000, "it comes to an end");
      hand_out();
      if (any(8) == 0) now_ += 1 * ms, recall();
      if (!end_something() && !take_back()) break;
    }
    check_conditions();
    for (const auto& [number, call] : calls_) {
      for (const Task& task : call.tasks) require(over(task.state), "every task ends");
    }
    require(scheduler_.waiting() == 0, "nothing waits in the end");
    require(graph_.waiting() == 0, "nothing waits for others in the end");
    for (int id = 0; id < engines_; ++id) {
      if (scheduler_.live(id)) require(scheduler_.load(id).handed_out == 0, "nobody has anything in hand in the end");
    }
  }

 private:
  std::uint64_t any(std::uint64_t below) { return random_() % below; }
  [[nodiscard]] std::vector<int> live() const {
    std::vector<int> ids;
    for (int id = 0; id < engines_; ++id) {
      if (scheduler_.live(id)) ids.push_back(id);
    }
    return ids;
  }

  // ---- the model ----

  // Whether the task may run on the engine now: among its engines, and not where it was refused, nor, while there is another, tried.
  [[nodiscard]] bool may_run(const Call& call, const Task& task, int id) const {
    const auto has = [](const std::vector<int>& ids, int wanted) { return std::find(ids.begin(), ids.end(), wanted) != ids.end(); };
    const auto allowed = [&](int other) {
      return scheduler_.live(other) && (call.kind == Placement::Kind::anyone || has(call.engines, other)) && !has(task.refused, other) &&
             slots_[static_cast<std::size_t>(other)] >= call.work.slots;
    };
    if (!allowed(id)) return false;
    if (!has(task.tried, id)) return true;
    for (int other = 0; other < engines_; ++other) {
      if (allowed(other) && !has(task.tried, other)) return false;
    }
    return true;
  }

  template <class Each>
  void each(const Condition& condition, Each visit) const {
    for (const auto& [call, item] : condition.on) {
      const auto& tasks = calls_.at(call).tasks;
      for (std::uint64_t i = 0; i < tasks.size(); ++i) {
        if (item == Dependencies::every || item == i) visit(tasks[i]);
      }
    }
  }

  // The rule, from the tasks as they are: of one engine, or of all with -2.
  [[nodiscard]] Verdict judge(const Condition& condition, int at) const {
    std::uint64_t total = 0;
    std::uint64_t wanted = 0;
    std::uint64_t unwanted = 0;
    each(condition, [&](const Task& task) {
      ++total;
      if (!over(task.state)) return;
      const bool counts = (task.state == State::well ? condition.rule.success : condition.rule.failure) && (at == -2 || task.engine == at);
      ++(counts ? wanted : unwanted);
    });
    if (total == 0) return Verdict::met;
    if (condition.rule.all) return unwanted != 0 ? Verdict::impossible : wanted == total ? Verdict::met : Verdict::waiting;
    return wanted != 0 ? Verdict::met : unwanted == total ? Verdict::impossible : Verdict::waiting;
  }

  [[nodiscard]] Verdict judge(const Call& call) const {
    Verdict verdict = Verdict::met;
    const auto also = [&verdict](Verdict other) {
      if (other == Verdict::impossible || verdict == Verdict::impossible) {
        verdict = Verdict::impossible;
      } else if (other == Verdict::waiting) {
        verdict = Verdict::waiting;
      }
    };
    if (call.after) also(judge(*call.after, -2));
    if (call.follow && !call.follow->on.empty()) {
      Verdict where = Verdict::impossible;
      for (int id = 0; id < engines_; ++id) {
        if (call.kind != Placement::Kind::anyone && std::find(call.engines.begin(), call.engines.end(), id) == call.engines.end()) continue;
        const Verdict here = judge(*call.follow, id);
        if (here == Verdict::met || (here == Verdict::waiting && where == Verdict::impossible)) where = here;
      }
      also(where);
    }
    return verdict;
  }

  // What waits for others does so with reason.
  void check_conditions() const {
    for (const auto& [number, call] : calls_) {
      if (call.tasks.front().state == State::blocked) require(judge(call) == Verdict::waiting, "nobody waits for what has been decided");
    }
  }

  // ---- what a controller does ----

  void place(Call& call) {
    for (Task& task : call.tasks) task.state = State::waiting;
    Grant grant;
    const bool nothing_waited = scheduler_.waiting() == 0;
    if (any(2) == 0 && scheduler_.submit_at_once(call.work, call.placement(), grant)) {
      require(nothing_waited, "what waits comes first");
      require(held_[static_cast<std::size_t>(grant.engine)].empty(), "at once is for who has nothing to do");
      scheduler_.note(grant);
      take(grant);
      ++seen_.at_once;
      return;
    }
    if (scheduler_.submit(call.work, call.placement())) return;
    for (std::uint64_t item = 0; item < call.tasks.size(); ++item) end(call, item, State::failed, -1);
  }

  void end(Call& call, std::uint64_t item, State state, int engine) {
    Task& task = call.tasks[item];
    require(!over(task.state), "a task ends once");
    task.state = state;
    task.engine = engine;
    graph_.ended(call.node, item, engine, state == State::well);
  }

  void decide() {
    while (const auto decision = graph_.next()) {
      Call& call = calls_.at(decision->call);
      if (call.aborted) continue;
      require(decision->verdict == judge(call) || decision->verdict == Verdict::impossible, "what is decided is so");
      ++(decision->verdict == Verdict::impossible ? seen_.impossible : decision->engines.empty() ? seen_.met : seen_.followed);
      if (decision->verdict == Verdict::impossible) {
        for (std::uint64_t item = 0; item < call.tasks.size(); ++item) end(call, item, State::failed, -1);
        continue;
      }
      if (!decision->engines.empty()) {
        call.kind = Placement::Kind::among;
        call.engines = decision->engines;
        std::erase_if(call.engines, [this](int id) { return !scheduler_.live(id); });
        if (call.engines.empty()) {
          for (std::uint64_t item = 0; item < call.tasks.size(); ++item) end(call, item, State::failed, -1);
          continue;
        }
      }
      place(call);
    }
  }

  Condition condition() {
    Condition condition;
    condition.rule.all = any(2) == 0;
    condition.rule.success = any(4) != 0;
    condition.rule.failure = !condition.rule.success || any(3) == 0;
    for (std::uint64_t i = any(4); i > 0; --i) {
      const std::uint64_t on = 1 + any(last_);
      condition.on.emplace_back(on, any(2) == 0 ? Dependencies::every : any(calls_.at(on).tasks.size()));
    }
    return condition;
  }

  void submit() {
    const std::vector<int> alive = live();
    std::optional<Condition> after;
    std::optional<Condition> follow;
    if (last_ != 0 && any(3) == 0) after = condition();
    if (last_ != 0 && any(6) == 0) follow = condition();
    const std::uint64_t number = ++last_;
    Call& call = calls_[number];
    const std::uint64_t count = 1 + any(any(10) == 0 ? 60 : 6);
    call.work = items(number, count);
    call.work.kind = any(4);
    if (any(4) == 0) call.work.chunks = 1 + any(count);
    call.work.alone = any(8) == 0;
    call.work.priority = any(4) == 0 ? static_cast<std::int32_t>(any(3)) - 1 : 0;
    call.work.submitter = any(4) == 0 ? 1 : 0;
    call.work.policy = any(4) == 0 ? static_cast<Policy>(any(6)) : Policy::least_load;
    call.work.slots = any(2) == 0 ? static_cast<std::uint16_t>(any(4)) : 0;
    call.work.hwm = any(6) == 0 ? static_cast<std::uint32_t>(1 + any(4)) : 0;
    call.tasks.resize(count);
    for (Task& task : call.tasks) task.retries = any(3) == 0 ? static_cast<int>(any(4)) : 0;
    for (std::uint64_t chunk = 0; chunk <= call.work.chunks; ++chunk)
      call.boundaries.insert(chunk * (count / call.work.chunks) + std::min(chunk, count % call.work.chunks));
    const auto how = any(3);
    if (how != 0) {
      call.engines = alive;
      std::shuffle(call.engines.begin(), call.engines.end(), random_);
      call.engines.resize(how == 2 ? 1 : 1 + any(alive.size()));
      call.kind = how == 2 ? Placement::Kind::bound : Placement::Kind::among;
    }
    call.after = after;
    call.follow = call.kind == Placement::Kind::bound ? std::nullopt : follow;
    call.node = graph_.add(number);
    if (!call.after && !call.follow) {
      place(call);
      decide();
      return;
    }
    Dependencies::Needs needs;
    After& to_end = needs.after;
    std::optional<Follow>& where = needs.follow;
    if (call.after) to_end = After(call.after->rule);
    if (call.follow) where.emplace(call.follow->rule, call.kind == Placement::Kind::anyone ? std::vector<int>() : call.engines);
    const auto count_in = [&](const Condition& condition, auto& tally) {
      each(condition, [&](const Task& task) {
        tally.expect(1);
        if (!over(task.state)) return;
        if constexpr (requires { tally.engines(); }) {
          tally.ended(task.engine, task.state == State::well);
        } else {
          tally.ended(task.state == State::well);
        }
      });
    };
    if (call.after) count_in(*call.after, to_end);
    if (call.follow) count_in(*call.follow, *where);
    graph_.wait(call.node, needs);
    const auto depend = [&](const Condition& condition, Dependencies::Need need) {
      for (const auto& [on, item] : condition.on) {
        const auto& tasks = calls_.at(on).tasks;
        if (item == Dependencies::every || !over(tasks[item].state)) graph_.depend(call.node, calls_.at(on).node, item, need);
      }
    };
    if (call.after) depend(*call.after, Dependencies::Need::after);
    if (call.follow) depend(*call.follow, Dependencies::Need::follow);
    graph_.settle(call.node);
    decide();
  }

  void take(const Grant& grant) {
    Call& call = calls_.at(grant.call);
    auto& held = held_[static_cast<std::size_t>(grant.engine)];
    require(scheduler_.live(grant.engine), "only who lives is handed something");
    require(!scheduler_.aside(grant.engine), "nothing is handed to who does not answer");
    require(!scheduler_.paused(), "in a pause nothing is handed out");
    require(grant.begin < grant.end && grant.end <= call.tasks.size(), "a hand-out is of tasks that there are");
    require(!call.after || call.kind == Placement::Kind::bound || judge_started(call), "what waits for others is not handed out");
    if (!call.split) {
      require(call.boundaries.count(grant.begin) == 1 && call.boundaries.count(grant.end) == 1, "chunks stay whole");
    }
    if (call.work.alone && call.work.chunks == call.work.count) require(size_of(grant) == 1, "what is to travel alone does");
    for (std::uint64_t item = grant.begin; item < grant.end; ++item) {
      Task& task = call.tasks[item];
      require(task.state == State::waiting, "a task is handed out once");
      require(may_run(call, task, grant.engine), "a task is handed out where it may run");
      task.state = State::in_hand;
      task.engine = grant.engine;
    }
    if (held.empty()) check_order(grant);
    ++hand_outs_;
    for (std::uint64_t item = grant.begin; item < grant.end; ++item) {
      held.emplace_back(grant.call, item);
      granted_[{grant.call, item}] = hand_outs_;
    }
    check_room(call, grant.engine);
  }

  void hand_out() {
    while (const auto grant = scheduler_.next()) take(*grant);
    std::uint64_t waiting = 0;
    for (const auto& [number, call] : calls_) {
      for (const Task& task : call.tasks) {
        if (task.state != State::waiting) continue;
        ++waiting;
        for (const int id : live()) {
          if (scheduler_.aside(id) || scheduler_.paused()) continue;
          const bool starved = held_[static_cast<std::size_t>(id)].empty() && may_run(call, task, id);
          require(!starved, "no task waits while an engine that may run it has nothing to do");
        }
      }
    }
    require(scheduler_.waiting() == waiting, "what waits is counted");
  }

  // What the engine has beside this: nothing if it is to have the engine for itself, else what fits.
  void check_room(const Call& call, int id) {
    for (const auto& [number, item] : held_[static_cast<std::size_t>(id)]) {
      const Call& beside = calls_.at(number);
      require((call.work.slots == 0) == (beside.work.slots == 0), "what takes all of an engine has it for itself");
    }
    if (call.work.slots == 0) return;
    // A chunk takes its slots once.
    std::map<std::uint64_t, std::uint64_t> hand_outs;
    for (const auto& task : held_[static_cast<std::size_t>(id)]) hand_outs[granted_.at(task)] = calls_.at(task.first).work.slots;
    std::uint64_t used = 0;
    for (const auto& [number, slots] : hand_outs) used += slots;
    require(used <= slots_[static_cast<std::size_t>(id)], "no engine is handed more than it has slots for");
    ++seen_.beside;
  }

  [[nodiscard]] bool judge_started(const Call& call) const { return judge(call) != Verdict::waiting; }

  // Who has nothing gets what comes first: of the highest priority, and of one submitter and the same engines the oldest.
  void check_order(const Grant& grant) const {
    const Call& got = calls_.at(grant.call);
    const Task& first = got.tasks[grant.begin];
    if (got.kind == Placement::Kind::bound) return;
    for (const auto& [number, call] : calls_) {
      if (call.kind == Placement::Kind::bound) continue;
      for (std::uint64_t item = 0; item < call.tasks.size(); ++item) {
        const Task& task = call.tasks[item];
        if (task.state != State::waiting || !may_run(call, task, grant.engine)) continue;
        require(call.work.priority <= got.work.priority, "the highest priority comes first");
        if (call.work.priority < got.work.priority || call.kind != got.kind || call.engines != got.engines ||
            call.work.submitter != got.work.submitter || call.work.slots != got.work.slots || task.tried != first.tried ||
            task.refused != first.refused)
          continue;
        require(std::pair(number, item) >= std::pair(grant.call, grant.begin), "of equals the oldest comes first");
      }
    }
  }

  bool end_something() {
    std::vector<int> busy;
    for (int id = 0; id < engines_; ++id) {
      if (!held_[static_cast<std::size_t>(id)].empty()) busy.push_back(id);
    }
    if (busy.empty()) return false;
    const int id = busy[any(busy.size())];
    auto& held = held_[static_cast<std::size_t>(id)];
    // Some neighbours of one call in one report.
    const auto [number, begin] = held.front();
    Call& call = calls_.at(number);
    std::uint64_t end_of = begin;
    const std::uint64_t most = 1 + any(8);
    while (!held.empty() && held.front() == std::pair(number, end_of) && end_of - begin < most) {
      held.pop_front();
      ++end_of;
    }
    std::vector<std::uint64_t> again;
    for (std::uint64_t item = begin; item < end_of; ++item) {
      Task& task = call.tasks[item];
      const auto fate = any(6);
      if (fate == 0 && task.retries > 0) {
        --task.retries;
        task.tried.push_back(id);
        again.push_back(item);
      } else if (fate == 1 && call.kind != Placement::Kind::bound) {
        task.refused.push_back(id);
        again.push_back(item);
      } else {
        end(call, item, fate <= 2 ? State::failed : State::well, id);
      }
    }
    constexpr Nanoseconds each_takes[] = {0, 1 * us, 80 * us, 20 * ms};
    scheduler_.finished(id, number, end_of - begin, each_takes[call.work.kind] * static_cast<Nanoseconds>(end_of - begin));
    seen_.again += again.size();
    for (const std::uint64_t item : again) {
      Task& task = call.tasks[item];
      call.split = true;
      Work work = call.work;
      work.first = item;
      work.count = work.chunks = 1;
      work.avoid = std::make_shared<Avoid>(Avoid{task.tried, task.refused});
      task.state = State::waiting;
      if (!scheduler_.submit(work, call.placement())) end(call, item, State::failed, id);
    }
    decide();
    return true;
  }

  void recall() {
    while (auto recall = scheduler_.recall(now_)) {
      auto& held = held_[static_cast<std::size_t>(recall->engine)];
      require(!held.empty(), "who has something is asked for it");
      // The engine has begun some more of it by then.
      const std::size_t begun = 1 + any(held.size());
      std::vector<Range> back;
      for (const Range& range : recall->ranges) {
        std::vector<std::uint64_t> there;
        for (std::size_t at = 0; at < held.size(); ++at) {
          const auto& [call, item] = held[at];
          if (call != range.call || item < range.begin || item >= range.end) continue;
          if (at >= begun) there.push_back(item);
        }
        if (there.empty() || (range.whole && there.size() != range.end - range.begin)) continue;
        back.push_back({range.call, there.front(), there.back() + 1, range.whole});
        for (const std::uint64_t item : there) {
          Task& task = calls_.at(range.call).tasks[item];
          require(task.state == State::in_hand && task.engine == recall->engine, "what is asked for is there");
          task.state = State::waiting;
          task.engine = -1;
        }
        seen_.recalled += there.size();
        std::erase_if(held, [&](const auto& h) { return h.first == range.call && h.second >= there.front() && h.second <= there.back(); });
      }
      scheduler_.give_back(recall->engine, back);
    }
  }

  void abort() {
    if (last_ == 0) return;
    Call& call = calls_.at(1 + any(last_));
    if (call.aborted) return;
    if (call.tasks.front().state == State::blocked) call.aborted = true;
    const std::uint64_t before = scheduler_.waiting();
    static_cast<Scheduler&>(scheduler_).withdraw(call.work.call, call.placement());
    seen_.withdrawn += before - scheduler_.waiting();
    for (std::uint64_t item = 0; item < call.tasks.size(); ++item) {
      if (call.tasks[item].state == State::waiting || call.tasks[item].state == State::blocked) end(call, item, State::failed, -1);
    }
    for (Task& task : call.tasks) task.retries = 0;
    decide();
  }

  // Of chunks, the parts on both sides go on by themselves.
  void abort_one() {
    if (last_ == 0) return;
    Call& call = calls_.at(1 + any(last_));
    const auto placement = call.placement();
    if (call.aborted || placement.kind == Placement::Kind::together) return;
    const std::uint64_t item = any(call.tasks.size());
    Task& task = call.tasks[item];
    const bool waits = task.state == State::waiting;
    require(static_cast<Scheduler&>(scheduler_).withdraw(call.work.call, item, placement) == waits, "an item that waits can be withdrawn");
    if (!waits) return;
    ++seen_.withdrawn;
    call.boundaries.insert({item, item + 1});
    task.retries = 0;
    end(call, item, State::failed, -1);
    decide();
  }

  // Each kind of task fails with its engine, or runs elsewhere.
  template <class MayRunAgain>
  void let_go(int id, const std::vector<Range>& in_hand, MayRunAgain may_run_again) {
    auto& held = held_[static_cast<std::size_t>(id)];
    std::uint64_t count = 0;
    for (const Range& range : in_hand) count += range.end - range.begin;
    require(count == held.size(), "what it had in hand is told");
    for (const auto& [number, item] : std::exchange(held, {})) {
      Call& call = calls_.at(number);
      Task& task = call.tasks[item];
      if (number % 2 == 0) {
        end(call, item, State::failed, id);
        continue;
      }
      task.state = State::waiting;
      task.engine = -1;
      call.split = true;
      Work work = call.work;
      work.first = item;
      work.count = work.chunks = 1;
      work.avoid = std::make_shared<Avoid>(Avoid{task.tried, task.refused});
      if (!may_run_again(call) || !scheduler_.submit(work, call.placement())) end(call, item, State::failed, id);
    }
  }

  void set_aside() {
    const std::vector<int> alive = live();
    const int id = alive[any(alive.size())];
    if (scheduler_.aside(id)) return;
    ++seen_.aside;
    scheduler_.forget(id);
    let_go(id, scheduler_.set_aside(id), [](const Call&) { return true; });
    decide();
  }

  // Whether there was one to take back.
  bool take_back() {
    for (const int id : live()) {
      if (!scheduler_.aside(id)) continue;
      ++seen_.back;
      scheduler_.take_back(id);
      return true;
    }
    return false;
  }

  void pause() {
    ++seen_.paused;
    if (scheduler_.paused()) {
      scheduler_.resume();
    } else {
      scheduler_.pause();
    }
  }

  void lose() {
    const std::vector<int> alive = live();
    if (alive.size() < 2) return;
    const int id = alive[any(alive.size())];
    const Scheduler::Lost lost = scheduler_.lose(id);
    ++seen_.lost;
    seen_.stranded += lost.stranded.size();
    let_go(id, lost.in_hand, [](const Call& call) { return call.kind != Placement::Kind::bound; });
    for (const Range& range : lost.stranded) {
      for (std::uint64_t item = range.begin; item < range.end; ++item) {
        require(calls_.at(range.call).tasks[item].state == State::waiting, "what is stranded has waited");
        end(calls_.at(range.call), item, State::failed, -1);
      }
    }
    decide();
  }

  class Tracked : public DrivenScheduler {
   public:
    bool submit(const Work& work, const Placement& placement) { return Scheduler::submit(work, placement); }
    Lost lose(int engine) {
      forget(engine);
      return Scheduler::lose_engine(engine);
    }
  };

  Seen& seen_;
  std::mt19937 random_;
  int engines_;
  std::vector<std::uint16_t> slots_;  // by engine
  Tracked scheduler_;
  Dependencies graph_;
  std::map<std::uint64_t, Call> calls_;
  std::vector<std::deque<std::pair<std::uint64_t, std::uint64_t>>> held_;     // by engine, in the order in which it runs them
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::uint64_t> granted_;  // in which hand-out, by call and task
  std::uint64_t hand_outs_ = 0;
  std::uint64_t last_ = 0;
  Nanoseconds now_ = 0;
};

}  // namespace

// Others each time; RANKVIEW_TEST_HISTORIES does more or fewer of them.
TEST_CASE("five thousand random histories", "[scheduler_history]") {
  const char* const wanted = std::getenv("RANKVIEW_TEST_HISTORIES");
  const auto count = static_cast<std::uint32_t>(wanted == nullptr ? 5'000 : std::stoul(wanted));
  const std::uint32_t first = test::seed("scheduler_history");
  Seen seen;
  for (std::uint32_t seed = first; seed - first < count; ++seed) {
    INFO("RANKVIEW_TEST_SEED=" << seed << " RANKVIEW_TEST_HISTORIES=1");
    History(seed, seen).run();
  }
  if (count < 1000) return;
  for (const std::uint64_t times : {seen.again, seen.recalled, seen.lost, seen.stranded, seen.withdrawn, seen.met, seen.followed,
                                    seen.impossible, seen.aside, seen.back, seen.paused, seen.at_once, seen.beside})
    CHECK(times > count / 100);
}
