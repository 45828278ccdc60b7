// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "farm/farm.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <utility>

namespace rankview::farm {
namespace {

// So often somebody who watches is told how far it is.
constexpr std::chrono::milliseconds told_every{200};

constexpr int code_of_signal = 128;

}  // namespace

int Farm::run() {
  rooms_.workers.set_time_limit(terms_.time_limit.now());
  for (;;) {
    listen();
    hand_out();
    const bool more = phase_ == Phase::open && (!input_ended_ || !again_.empty());
    if (in_hand_ == 0 && !more) break;
    wait();
    for (End& end : rooms_.workers.take_ended()) take(std::move(end));
    if (rooms_.log != nullptr) rooms_.log->flush();
    if (rooms_.watch) rooms_.watch(counts());
  }
  rooms_.printer.flush();
  return exit_code();
}

// What somebody wants who sends signals.
void Farm::listen() {
  const auto wish = rooms_.interrupts.wish();
  if (wish <= wish_) return;
  wish_ = wish;
  if (wish == Interrupts::Wish::stop)
    rooms_.complain("the job's time is over: " + std::to_string(in_hand_) + " commands are killed, and are run by who resumes");
  if (wish >= Interrupts::Wish::stop) {
    kill();
  } else if (phase_ == Phase::open) {
    finish();
    rooms_.complain("no further command is started; " + std::to_string(in_hand_) + " have to end");
  }
}

void Farm::finish() {
  phase_ = Phase::finishing;
  for (Job& job : rooms_.workers.recall()) {
    --in_hand_;
    again_.push_back(std::move(job));
  }
}

void Farm::kill() {
  if (phase_ == Phase::killing) return;
  phase_ = Phase::killing;
  rooms_.workers.kill();
}

void Farm::hand_out() {
  input_waited_for_ = false;
  // Where it matters which commands have ended before another begins, none waits at the workers.
  const bool ahead = !terms_.halt.possible() && terms_.delay.count() == 0 && terms_.attempts == 1;
  std::size_t wanted = phase_ == Phase::open ? rooms_.workers.wanted(ahead) : 0;
  Job job;
  while (wanted != 0 && next(job)) {
    if (delayed()) {
      again_.push_front(std::move(job));
      return;
    }
    if (!job.trouble.empty()) {
      refuse(std::move(job));
      continue;
    }
    wanted -= std::min<std::size_t>(wanted, job.needs.cores);
    rooms_.workers.start(std::move(job));
    ++in_hand_;
    if (terms_.delay.count() != 0) next_start_ = terms_.now() + terms_.delay;
  }
}

void Farm::refuse(Job job) {
  End end;
  end.cause = Cause::refused;
  end.status = gone_wrong;
  end.command = with_slot(job.command, 0);
  end.trouble = job.trouble;
  end.job = std::move(job);
  // There is no point in trying it again.
  end.job.attempt = terms_.attempts;
  ++in_hand_;
  take(std::move(end));
}

bool Farm::delayed() const { return terms_.delay.count() != 0 && terms_.now() < next_start_; }

// The command that is due, if there is one.
bool Farm::next(Job& job) {
  if (!again_.empty()) {
    job = std::move(again_.front());
    again_.pop_front();
    return true;
  }
  if (input_ended_) return false;
  const Next next = rooms_.maker.next(job);
  input_ended_ = next == Next::none;
  input_waited_for_ = next == Next::later;
  return next == Next::there;
}

void Farm::wait() {
  std::array<int, 2> descriptors{};
  std::size_t count = 0;
  if (rooms_.interrupts.descriptor() >= 0) descriptors[count++] = rooms_.interrupts.descriptor();
  if (input_waited_for_ && rooms_.maker.descriptor() >= 0) descriptors[count++] = rooms_.maker.descriptor();
  std::optional<std::chrono::milliseconds> limit;
  if (rooms_.watch) limit = told_every;
  if (phase_ == Phase::open && !again_.empty() && delayed()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(next_start_ - terms_.now());
    limit = limit ? std::min(*limit, left) : left;
  }
  rooms_.workers.wait(std::span(descriptors).first(count), limit);
}

void Farm::take(End end) {
  --in_hand_;
  // Those that the farm itself has killed have not been run; who resumes runs them.
  if (end.cause == Cause::killed) {
    any_killed_ = true;
    return;
  }
  if (end.cause == Cause::timeout)
    rooms_.complain("command " + std::to_string(end.job.number) + " was killed, since it took longer than " +
                    std::to_string(std::chrono::duration<double>(end.took).count()) + " s: " + end.command);
  if (end.cause == Cause::refused) rooms_.complain("command " + std::to_string(end.job.number) + " cannot be started: " + end.trouble);
  if (end.cause == Cause::memory)
    rooms_.complain("command " + std::to_string(end.job.number) + " was killed, since it had " + std::to_string(end.memory >> 20U) +
                    " MiB of memory, and may have " + std::to_string(end.job.needs.memory >> 20U) + ": " + end.command);
  if (!end.succeeded() && end.job.attempt < terms_.attempts && phase_ == Phase::open) {
    ++end.job.attempt;
    if (end.cause == Cause::memory)
      end.job.needs.memory = static_cast<std::uint64_t>(static_cast<double>(end.job.needs.memory) * terms_.memory_growth);
    again_.push_back(std::move(end.job));
    return;
  }
  end_for_good(end);
}

void Farm::end_for_good(const End& end) {
  // It is kept that it is done when its output is where it belongs.
  rooms_.printer.add(end);
  if (rooms_.outputs != nullptr) rooms_.outputs->add(end);
  if (rooms_.log != nullptr) rooms_.log->add(end);
  if (rooms_.past != nullptr) rooms_.past->add(end);
  if (end.succeeded() && terms_.time_limit.moves()) {
    terms_.time_limit.count_success(end.took);
    rooms_.workers.set_time_limit(terms_.time_limit.now());
  }
  const bool before = terms_.halt.reached() != Halt::When::never;
  terms_.halt.count(end.succeeded(), end.signal != 0 ? code_of_signal + end.signal : end.status);
  if (before || terms_.halt.reached() == Halt::When::never) return;
  rooms_.complain("the farm ends, since this command has " + std::string(end.succeeded() ? "succeeded: " : "failed: ") + end.command);
  if (terms_.halt.reached() == Halt::When::now) {
    kill();
  } else if (phase_ == Phase::open) {
    finish();
  }
}

FarmCounts Farm::counts() const { return {terms_.halt.succeeded(), terms_.halt.failed(), rooms_.maker.skipped(), in_hand_}; }

bool Farm::anything_left() {
  Job job;
  return next(job) || input_waited_for_;
}

int Farm::exit_code() {
  if (wish_ == Interrupts::Wish::kill) return gone_wrong;
  if (wish_ >= Interrupts::Wish::drain && (any_killed_ || anything_left())) return requeue;
  return terms_.halt.exit_code();
}

}  // namespace rankview::farm
