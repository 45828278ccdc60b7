// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "farm/slot_pool.hpp"

#include "catch.hpp"
#include "unit/environment.hpp"

#include <sys/prctl.h>
#include <csignal>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

using namespace rankview::farm;

namespace {

SlotTerms terms(std::size_t slots = 1) {
  SlotTerms terms;
  terms.slots = slots;
  terms.temporary_directory = "/tmp";
  terms.host = "here";
  return terms;
}

Job job_of(std::string command, std::uint64_t number = 1) {
  Job job;
  job.number = number;
  job.command.text = std::move(command);
  return job;
}

std::vector<End> ends_of(SlotPool& pool, std::size_t count) {
  std::vector<End> ends;
  while (ends.size() < count) {
    pool.wait({}, std::nullopt);
    for (End& end : pool.take_ended()) ends.push_back(std::move(end));
  }
  return ends;
}

End end_of(std::string command, SlotTerms how = terms()) {
  SlotPool pool(std::move(how));
  pool.start(job_of(std::move(command)));
  return std::move(ends_of(pool, 1).front());
}

// Whether it lives, once it had a second to go.
bool lives(pid_t process) {
  for (int i = 0; i < 1000 && ::kill(process, 0) == 0; ++i) {
    std::ifstream status("/proc/" + std::to_string(process) + "/stat");
    std::string word;
    status >> word >> word >> word;
    if (word == "Z") return false;
    ::usleep(1000);
  }
  return ::kill(process, 0) == 0;
}

}  // namespace

TEST_CASE("how a command ends is told", "[processes]") {
  CHECK(end_of("true").succeeded());
  CHECK(end_of("exit 7").status == 7);
  CHECK(end_of("ls /").succeeded());
  CHECK(end_of("kill -KILL $$").signal == SIGKILL);
  CHECK(end_of("kill -SEGV $$").signal == SIGSEGV);
  CHECK_FALSE(end_of("kill -HUP $$").succeeded());
  const End unknown = end_of("no-such-program-here");
  CHECK(unknown.status == 127);
  CHECK(unknown.err.text().find("not found") != std::string::npos);
  CHECK(end_of("/tmp").status == 126);
  CHECK(end_of("").succeeded());
}

TEST_CASE("what a command writes is captured, each stream by itself", "[processes]") {
  const End end = end_of("printf 'a\\0b'; echo c >&2; printf d");
  CHECK(end.out.text() == std::string("a\0bd", 4));
  CHECK(end.err.text() == "c\n");
  CHECK(end_of("head -c 3000000 /dev/zero").out.size() == 3'000'000);
}

TEST_CASE("a command has no input, no other descriptors, and signals as by default", "[processes]") {
  CHECK(end_of("cat").out.size() == 0);
  const int leaked = ::dup(1);
  CHECK(end_of("ls /proc/self/fd").out.text() == "0\n1\n2\n3\n");
  ::close(leaked);
  std::signal(SIGUSR2, SIG_IGN);
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR1);
  sigset_t before;
  ::pthread_sigmask(SIG_BLOCK, &blocked, &before);
  CHECK(end_of("grep SigBlk: /proc/self/status").out.text() == "SigBlk:\t0000000000000000\n");
  CHECK(end_of("kill -USR2 $$; echo ignored").signal == SIGUSR2);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  std::signal(SIGUSR2, SIG_DFL);
}

TEST_CASE("the environment tells a command what it is, and nothing of MPI", "[processes]") {
  const unit::Environment mpi("OMPI_COMM_WORLD_SIZE", "3");
  const unit::Environment pmix("PMIX_RANK", "1");
  const unit::Environment own("RANKVIEW_TEST_OWN", "mine");
  const unit::Environment launcher("OMPI_MCA_orte_launch", "1");
  const unit::Environment network("OMPI_MCA_btl_tcp_if_include", "eth7");
  Job job = job_of("env", 12);
  job.attempt = 2;
  SlotPool pool(terms());
  pool.start(std::move(job));
  const std::string text = "\n" + ends_of(pool, 1).front().out.text();
  for (const char* const line : {"RANKVIEW_TASK=12", "RANKVIEW_SLOT=1", "RANKVIEW_ENGINE=0", "RANKVIEW_HOST=here", "RANKVIEW_ATTEMPT=2",
                                 "RANKVIEW_TEST_OWN=mine", "OMPI_MCA_btl_tcp_if_include=eth7", "PARALLEL_SEQ=12", "PARALLEL_JOBSLOT=1"})
    CHECK(text.find(std::string("\n") + line + "\n") != std::string::npos);
  CHECK(text.find("\nOMPI_COMM") == std::string::npos);
  CHECK(text.find("\nOMPI_MCA_orte") == std::string::npos);
  CHECK(text.find("\nPMIX_") == std::string::npos);
}

TEST_CASE("a command that is longer than an argument may be runs", "[processes]") {
  const std::string words(1'000'000, ' ');
  CHECK(end_of("echo a" + words + "b; exit 3").status == 3);
  CHECK(end_of("echo a" + words + "b").out.text() == "a b\n");
}

TEST_CASE("another shell is used where it is wanted", "[processes]") {
  SlotTerms how = terms();
  how.shell = "/bin/bash";
  CHECK(end_of("echo ${BASH_VERSION:+bash}", how).out.text() == "bash\n");
  how.shell = "/nowhere/shell";
  const End end = end_of("true", how);
  CHECK(end.cause == Cause::refused);
  CHECK(end.trouble.find("/nowhere/shell") != std::string::npos);
}

TEST_CASE("commands run side by side, each in a slot of its own", "[processes]") {
  // Each waits for the other, by a pipe.
  SlotPool pool(terms(2));
  CHECK(pool.wanted(false) == 2);
  const std::string pipe = "/tmp/rankview-farm-test-" + std::to_string(::getpid());
  ::system(("rm -f " + pipe + "; mkfifo " + pipe).c_str());
  Job first = job_of("echo $RANKVIEW_SLOT >" + pipe, 1);
  Job second = job_of("read other <" + pipe + "; [ $other != $RANKVIEW_SLOT ]", 2);
  second.command.text += "; echo ";
  second.command.slots.push_back(second.command.text.size());
  pool.start(std::move(first));
  pool.start(std::move(second));
  CHECK(pool.wanted(false) == 0);
  CHECK(pool.wanted(true) > 0);
  for (const End& end : ends_of(pool, 2)) {
    CHECK(end.succeeded());
    if (end.job.number == 2) CHECK(end.out.text() == std::to_string(end.slot) + "\n");
  }
  ::unlink(pipe.c_str());
}

TEST_CASE("a command that takes too long is told to end, with what it has started", "[processes]") {
  SlotPool pool(terms());
  SECTION("and ends") {
    pool.start(job_of("trap 'echo told; exit 0' TERM; echo began; while :; do sleep 0.01; done"));
    pool.set_time_limit(std::chrono::milliseconds(300));
    const End end = std::move(ends_of(pool, 1).front());
    CHECK(end.cause == Cause::timeout);
    CHECK_FALSE(end.succeeded());
    CHECK(end.out.text() == "began\ntold\n");
  }
  SECTION("and is killed, since it does not") {
    pool.set_time_limit(std::chrono::milliseconds(300));
    pool.start(job_of("trap '' TERM; (trap '' TERM; sleep 1000) & echo $!; while :; do sleep 1; done"));
    const End end = std::move(ends_of(pool, 1).front());
    CHECK(end.cause == Cause::timeout);
    CHECK(end.signal == SIGKILL);
    CHECK_FALSE(lives(std::stoi(end.out.text())));
  }
}

TEST_CASE("all is killed when it is to be", "[processes]") {
  SlotPool pool(terms(2));
  pool.start(job_of("sleep 1000", 1));
  pool.start(job_of("sleep 1000 & wait", 2));
  pool.start(job_of("echo never", 3));
  pool.kill();
  for (const End& end : ends_of(pool, 3)) {
    CHECK(end.cause == Cause::killed);
    CHECK(end.out.size() == 0);
  }
}

TEST_CASE("what has not begun can be taken back", "[processes]") {
  SlotPool pool(terms());
  const std::string begun = "/tmp/rankview-farm-recall-" + std::to_string(::getpid());
  ::unlink(begun.c_str());
  pool.start(job_of("touch " + begun + "; sleep 1000", 1));
  while (::access(begun.c_str(), R_OK) != 0) ::usleep(1000);
  pool.start(job_of("echo never", 2));
  pool.start(job_of("echo never", 3));
  const std::vector<Job> back = pool.recall();
  REQUIRE(back.size() == 2);
  CHECK(back[0].number == 2);
  CHECK(back[1].number == 3);
  CHECK(pool.recall().empty());
  pool.kill();
  CHECK(ends_of(pool, 1).front().job.number == 1);
  ::unlink(begun.c_str());
}

TEST_CASE("ends of quick commands are told while others run on", "[processes]") {
  SlotPool pool(terms());
  const std::size_t quick = 40;
  for (std::size_t i = 0; i < quick; ++i) pool.start(job_of("true", i));
  pool.start(job_of("sleep 1000", quick));
  CHECK(ends_of(pool, quick).size() == quick);
  // Also where nothing of this waits for them in the queue.
  for (std::size_t i = 0; i < quick; ++i) pool.start(job_of("true", i));
  pool.kill();
  CHECK(ends_of(pool, quick + 1).size() == quick + 1);
}

TEST_CASE("nothing outlives the pool", "[processes]") {
  std::string told = "/tmp/rankview-farm-pool-" + std::to_string(::getpid());
  ::unlink(told.c_str());
  pid_t process = 0;
  {
    SlotPool pool(terms());
    pool.start(job_of("trap '' TERM; echo $$ >" + told + ".new; mv " + told + ".new " + told + "; while :; do sleep 1; done"));
    while (::access(told.c_str(), R_OK) != 0) ::usleep(1000);
    std::ifstream(told) >> process;
  }
  CHECK(process > 0);
  CHECK_FALSE(lives(process));
  ::unlink(told.c_str());
}

TEST_CASE("what a command has left in the background does not hold it up", "[processes]") {
  const End end = end_of("sleep 1000 & echo $!");
  CHECK(end.succeeded());
  const pid_t left = std::stoi(end.out.text());
  CHECK(::kill(left, 0) == 0);
  ::kill(left, SIGKILL);
}

TEST_CASE("commands have the cores, the GPUs and the memory that they need, and never more than there are", "[processes]") {
  SlotPool pool(terms(4), {1, 0, {"7", "8"}});
  // Each is a line as it begins, and one as it ends, in a file that all append to.
  const std::string log = "/tmp/rankview-cores-" + std::to_string(::getpid());
  ::unlink(log.c_str());
  const unsigned cores[] = {1, 2, 4, 1, 3, 2, 1, 4, 1, 1, 2, 3};
  for (const unsigned each : cores) {
    Job job = job_of("echo +$RANKVIEW_CORES >>" + log + "; sleep 0.05; echo -$RANKVIEW_CORES >>" + log);
    job.needs.cores = each;
    pool.start(std::move(job));
  }
  CHECK(ends_of(pool, std::size(cores)).size() == std::size(cores));
  std::ifstream lines(log);
  int busy = 0;
  int sum = 0;
  for (int change = 0; lines >> change;) {
    busy += change;
    sum += std::max(change, 0);
    CHECK(busy <= 4);
  }
  CHECK(busy == 0);
  CHECK(sum == 25);
  ::unlink(log.c_str());

  Job with_gpus = job_of("echo $CUDA_VISIBLE_DEVICES");
  with_gpus.needs.gpus = 2;
  pool.start(std::move(with_gpus));
  CHECK(ends_of(pool, 1).front().out.text() == "7,8\n");
  pool.start(job_of("echo $CUDA_VISIBLE_DEVICES."));
  CHECK(ends_of(pool, 1).front().out.text() == ".\n");

  Job large = job_of("x=$(head -c 100000000 /dev/zero | tr '\\0' x); sleep 60");
  large.needs.memory = 20'000'000;
  pool.start(std::move(large));
  const End killed = std::move(ends_of(pool, 1).front());
  CHECK(killed.cause == Cause::memory);
  CHECK(killed.memory > 20'000'000);

  Job wide = job_of("true");
  wide.needs.cores = 5;
  pool.start(std::move(wide));
  const End refused = std::move(ends_of(pool, 1).front());
  CHECK(refused.cause == Cause::refused);
  CHECK(refused.trouble == "it wants 5 cores, and there are 4");

  Job brief = job_of("sleep 60");
  brief.needs.timeout = std::chrono::milliseconds(50);
  pool.start(std::move(brief));
  CHECK(ends_of(pool, 1).front().cause == Cause::timeout);
}
