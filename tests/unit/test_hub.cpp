// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "hub/hub.hpp"
#include "hub/schema.hpp"

#include "support.hpp"

#include <rankview/errors.hpp>

#include <SQLiteCpp/SQLiteCpp.h>

#include <sys/resource.h>
#include <unistd.h>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using rankview::Status;
using rankview::Table;
using rankview::detail::ItemRecord;
using namespace rankview::hub;

namespace {

class DatabaseFile {
 public:
  DatabaseFile() { remove(); }
  DatabaseFile(const DatabaseFile&) = delete;
  DatabaseFile& operator=(const DatabaseFile&) = delete;
  ~DatabaseFile() { remove(); }

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  void remove() const {
    for (const char* const end : {"", "-wal", "-shm"}) std::filesystem::remove(path_ + end);
  }

  std::string path_ = (std::filesystem::temp_directory_path() / ("rankview-hub." + std::to_string(getpid()))).string();
};

constexpr std::int64_t at = 1'700'000'000'000'000'000;  // nanoseconds since the epoch
constexpr std::int64_t us = 1'000;

// The i-th of some that each took so long.
ItemRecord ended(int i, std::int64_t took, Status status = Status::completed) {
  ItemRecord record;
  record.started = at + i * 10 * us;
  record.completed = record.started + took;
  record.received = record.completed + 3 * us;
  record.engine = i % 3;
  record.attempts = 1;
  record.status = status;
  return record;
}

std::vector<std::string> values(const Table& table) {
  std::vector<std::string> all;
  for (const auto& row : table.rows) {
    for (const auto& value : row) all.push_back(value.value_or("null"));
  }
  return all;
}

std::string value(Hub& hub, const std::string& sql) {
  const auto all = values(hub.query(sql));
  return all.size() == 1 ? all.front() : std::to_string(all.size()) + " values";
}

void begin(Hub& hub) { hub.add(RunBegan{at, {{1, "one", 11, 1}, {2, "two", 12, 4}, {3, "two", 13, 1}}}, 0); }

void add_call(Hub& hub, std::uint64_t number, std::uint64_t tasks) { hub.add(CallMade{number, "sweep", nullptr, {}, tasks, at - us}, 0); }

}  // namespace

TEST_CASE("a run, its engines and its calls have rows", "[hub]") {
  const DatabaseFile file;
  {
    Hub hub(file.path());
    begin(hub);
    add_call(hub, 1, 2);
    CHECK(values(hub.query("select outcome, ended, engines from run")) == std::vector<std::string>{"running", "null", "3"});
    CHECK(values(hub.query("select id, host, slots from engine order by id")) ==
          std::vector<std::string>{"0", "one", "1", "1", "two", "4", "2", "two", "1"});
    CHECK(values(hub.query("select label, tasks, ended from call")) == std::vector<std::string>{"sweep", "2", "null"});
    hub.add(TasksEnded{1, 0, {ended(0, 5 * us), ended(1, 5 * us, Status::failed)}, {}}, 2);
    hub.add(CallOver{1, at + 1'000'000 * us}, 0);
    hub.add(EngineLost{2, at, "died: of boredom"}, 0);
    hub.add(RunEnded{at + 2'000'000 * us, true, "enough"}, 0);
    CHECK(values(hub.query("select completed, failed, aborted, ended from call")) ==
          std::vector<std::string>{"1", "1", "0", "1700000001.0"});
    CHECK(value(hub, "select lost_why from engine where lost is not null") == "died: of boredom");
    CHECK(values(hub.query("select outcome, reason, ended - began from run")) == std::vector<std::string>{"failed", "enough", "2.0"});
  }
  // The next run is added.
  Hub hub(file.path());
  begin(hub);
  CHECK(value(hub, "select count(*) from run") == "2");
}

TEST_CASE("every task has a row in the view, in a pack or not", "[hub]") {
  const DatabaseFile file;
  Hub hub(file.path());
  begin(hub);
  constexpr int count = 2500;
  add_call(hub, 1, count);
  // In pieces, as engines end them: the second before the first.
  for (const auto& [first, last] : {std::pair(1000, count), std::pair(0, 1000)}) {
    TasksEnded event;
    event.call = 1;
    event.first = static_cast<std::uint64_t>(first);
    for (int i = first; i < last; ++i) {
      event.records.push_back(ended(i, i % 100 == 7 ? 2000 * us : 5 * us, i % 1000 == 500 ? Status::failed : Status::completed));
      if (i % 1000 == 500)
        event.errors.push_back({static_cast<std::uint64_t>(i), std::make_exception_ptr(std::runtime_error("no " + std::to_string(i)))});
    }
    hub.add(std::move(event), static_cast<std::size_t>(last - first));
  }
  hub.add(CallOver{1, at}, 0);
  CHECK(value(hub, "select count(*) from tasks") == std::to_string(count));
  CHECK(value(hub, "select count(distinct item) from tasks") == std::to_string(count));
  CHECK(value(hub, "select count(*) from tasks where run_time > 0.001") == "25");
  CHECK(value(hub, "select count(*) from task") == "27");
  CHECK(value(hub, "select count(*) from pack") == "3");
  CHECK(values(hub.query("select item, error from tasks where status = 'failed' order by item")) ==
        std::vector<std::string>{"500", "no 500", "1500", "no 1500"});
  const auto row =
      values(hub.query("select engine, attempts, round((started - 1700000000) * 1e6), round(run_time * 1e6), "
                       "round((received - completed) * 1e6) from tasks where item = 1234"));
  CHECK(row == std::vector<std::string>{std::to_string(1234 % 3), "1", "12340.0", "5.0", "3.0"});
}

TEST_CASE("others may read it while it is written", "[hub]") {
  const DatabaseFile file;
  Hub hub(file.path());
  begin(hub);
  SQLite::Database reader(file.path(), SQLite::OPEN_READONLY, 10'000);
  for (std::uint64_t call = 1; call <= 20; ++call) {
    add_call(hub, call, 1);
    hub.flush();
    CHECK(reader.execAndGet("select count(*) from call").getInt64() == static_cast<std::int64_t>(call));
  }
}

TEST_CASE("what another writer keeps from being written is written when that has ended", "[hub]") {
  const DatabaseFile file;
  Rows rows(file.path(), nullptr, 50);
  rows.write({RunBegan{at, {{1, "one", 11, 1}}}, CallMade{1, "sweep", nullptr, {}, 3, at}}, {});
  SQLite::Database other(file.path(), SQLite::OPEN_READWRITE, 10'000);
  const auto tasks = [](std::uint64_t first) { return TasksEnded{1, first, {ended(0, 5 * us), ended(1, 5000 * us)}, {}}; };
  {
    SQLite::Transaction writing(other, SQLite::TransactionBehavior::IMMEDIATE);
    CHECK_THROWS_AS(rows.write({tasks(0)}, {}), std::exception);
  }
  rows.write({tasks(0)}, {});
  rows.write({tasks(2), CallOver{1, at}}, {});
  CHECK(other.execAndGet("select count(*) from tasks").getInt() == 4);
  CHECK(other.execAndGet("select completed from call").getInt() == 4);
}

TEST_CASE("a row that cannot be written leaves those behind it alone", "[hub]") {
  const DatabaseFile file;
  Rows rows(file.path());
  rows.write({RunBegan{at, {{1, "one", 11, 1}}}, CallMade{1, "sweep", nullptr, {}, 3, at}}, {});
  SQLite::Database other(file.path(), SQLite::OPEN_READWRITE, 10'000);
  other.exec("create trigger no before insert on task begin select raise(abort, 'not now'); end");
  const TasksEnded tasks{1, 0, {ended(0, 5 * us), ended(1, 5000 * us)}, {}};
  CHECK_THROWS_AS(rows.write({tasks}, {}), std::exception);
  CHECK_THROWS_AS(rows.write({tasks}, {}), std::exception);
  other.exec("drop trigger no");
  rows.write({tasks, CallOver{1, at}}, {});
  CHECK(other.execAndGet("select count(*) from tasks").getInt() == 2);
  CHECK(other.execAndGet("select completed from call").getInt() == 2);
}

TEST_CASE("several runs share one file", "[hub]") {
  const DatabaseFile file;
  std::vector<std::thread> runs;
  for (int i = 0; i < 4; ++i) {
    runs.emplace_back([&file] {
      Hub hub(file.path());
      begin(hub);
      for (std::uint64_t call = 1; call <= 20; ++call) {
        add_call(hub, call, 2);
        hub.add(TasksEnded{call, 0, {ended(0, 5 * us), ended(1, 5000 * us)}, {}}, 2);
        hub.add(CallOver{call, at}, 0);
        hub.flush();
      }
    });
  }
  for (std::thread& run : runs) run.join();
  Hub hub(file.path());
  CHECK(value(hub, "select count(*) from tasks") == "160");
  CHECK(value(hub, "select count(distinct run) from call where ended is not null and completed = 2") == "4");
}

TEST_CASE("a query cannot change anything, and says what is wrong with it", "[hub]") {
  const DatabaseFile file;
  Hub hub(file.path());
  begin(hub);
  CHECK_THROWS_AS(hub.query("delete from run"), std::runtime_error);
  CHECK_THROWS_AS(hub.query("select nonsense"), std::runtime_error);
  CHECK(value(hub, "select count(*) from run") == "1");
}

TEST_CASE("what cannot be a database is refused", "[hub]") {
  const DatabaseFile file;
  CHECK_THROWS_AS(Hub("/nowhere/run.db"), std::exception);
  {
    SQLite::Database later(file.path(), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
    later.exec("pragma user_version = " + std::to_string(schema_version + 1));
  }
  CHECK_THROWS_AS(Hub(file.path()), std::exception);
}

TEST_CASE("where there is too much to write, failures and sums are told", "[hub]") {
  const DatabaseFile file;
  Hub hub(file.path());
  begin(hub);
  constexpr std::uint64_t piece = 1'000'000;
  constexpr std::uint64_t pieces = 2 * Hub::most_waiting / piece;
  add_call(hub, 1, piece * pieces);
  for (std::uint64_t i = 0; i < pieces; ++i) {
    TasksEnded event;
    event.call = 1;
    event.first = i * piece;
    event.records.assign(piece, ended(0, 5 * us));
    event.records[3].status = Status::failed;
    event.errors.push_back({event.first + 3, std::make_exception_ptr(std::runtime_error("the fourth"))});
    hub.add(std::move(event), piece);
  }
  hub.add(CallOver{1, at}, 0);
  CHECK(value(hub, "select completed + failed from call") == std::to_string(piece * pieces));
  CHECK(value(hub, "select count(*) from task where error = 'the fourth'") == std::to_string(pieces));
  // Some of it may have been written meanwhile.
  CHECK(value(hub, "select run.unrecorded + (select sum(json_array_length(tasks)) from pack) from run") ==
        std::to_string((piece - 1) * pieces));
}

TEST_CASE("a disk that takes no more costs rows, and how many is told", "[hub]") {
  const DatabaseFile file;
  Hub hub(file.path());
  begin(hub);
  add_call(hub, 1, 100'000);
  hub.flush();
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const auto was = std::signal(SIGXFSZ, SIG_IGN);
  const auto add_tasks = [&hub](std::uint64_t first) {
    TasksEnded event;
    event.call = 1;
    event.first = first;
    for (int i = 0; i < 50'000; ++i) event.records.push_back(ended(i, 5 * us));
    hub.add(std::move(event), 50'000);
  };
  rlimit full = before;
  full.rlim_cur = 200'000;
  setrlimit(RLIMIT_FSIZE, &full);
  add_tasks(0);
  hub.flush();
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, was);
  add_tasks(50'000);
  CHECK(value(hub, "select count(*) from tasks") == "50000");
  CHECK(value(hub, "select unrecorded from run") == "50000");
  hub.add(CallOver{1, at}, 0);
  CHECK(value(hub, "select completed from call where ended is not null") == "100000");
}

TEST_CASE("arguments and results are kept, with what to call", "[hub]") {
  const DatabaseFile file;
  Hub hub(file.path(), [](const void* code) -> std::string { return code == &us ? "_Z1fi" : ""; });
  begin(hub);
  hub.add(CallMade{1, "sweep", &us, {}, 3, at}, 0);
  hub.add(CallMade{2, "other", nullptr, "i", 3, at}, 0);
  CallKept call;
  call.call = 1;
  call.thunk = {&us, 7, 8};
  call.result = "d";
  call.direct = true;
  hub.add(std::move(call), 0);
  TasksKept tasks;
  tasks.call = 1;
  tasks.tasks = {{4, 2, 3}, {6, 1, 1, 2, true}};
  for (const char c : std::string("abcdef")) tasks.bytes.push_back(static_cast<std::byte>(c));
  hub.add(std::move(tasks), 0);
  CHECK(values(hub.query("select function from call order by id")) == std::vector<std::string>{"f(int)", "int"});
  CHECK(values(hub.query("select thunk, thunk_module, thunk_offset, function, function_module, result, direct from code")) ==
        std::vector<std::string>{"_Z1fi", "7", "8", "null", "null", "d", "1"});
  CHECK(values(hub.query("select item, engine, arguments, value from kept order by item")) ==
        std::vector<std::string>{"4", "2", "abc", "null", "6", "1", "d", "ef"});
  CHECK(hub.run() == 1);
}

TEST_CASE("no more is kept than there is room for, and how much is not is told", "[hub]") {
  const DatabaseFile file;
  Hub hub(file.path());
  begin(hub);
  const auto tasks = [](std::uint64_t item, std::size_t bytes) {
    TasksKept kept;
    kept.call = 1;
    kept.tasks = {{item, 0, bytes}};
    kept.bytes.resize(bytes);
    return kept;
  };
  hub.add(tasks(0, Hub::most_kept + 1), 0);
  hub.add(tasks(1, 10), 0);
  CHECK(value(hub, "select item from kept") == "1");
  CHECK(value(hub, "select unkept from run") == "1");
}

TEST_CASE("a question may have values, and what is changed is changed as a whole", "[hub]") {
  const DatabaseFile file;
  Hub hub(file.path());
  begin(hub);
  add_call(hub, 1, 2);
  CHECK(values(hub.query("select ? + ?, ?", {std::int64_t{3}, 0.5, "it's"})) == std::vector<std::string>{"3.5", "it's"});
  CHECK(value(hub, "select count(*) from call where label = 'sweep'") == "1");
  CHECK_THROWS_AS(hub.change({"delete from call where id = ?1", "delete from nothing where id = ?1"}, {std::int64_t{1}}),
                  std::runtime_error);
  CHECK(value(hub, "select count(*) from call") == "1");
  hub.change({"delete from call where id = ?1"}, {std::int64_t{1}});
  CHECK(value(hub, "select count(*) from call") == "0");
}

TEST_CASE("what tasks have printed has rows", "[hub]") {
  const DatabaseFile file;
  Hub hub(file.path());
  begin(hub);
  add_call(hub, 1, 2);
  hub.add(TaskPrinted{1, 0, 1, 2, "one\n", ""}, 0);
  hub.add(TaskPrinted{1, 0, 2, 0, "two\n", std::string("any \0 byte", 10)}, 0);
  CHECK(values(hub.query("select item, attempt, engine, stdout, stderr from output order by attempt")) ==
        std::vector<std::string>{"0", "1", "2", "one\n", "", "0", "2", "0", "two\n", std::string("any \0 byte", 10)});
  // What there is no room for while the disk is slow is counted.
  hub.add(TaskPrinted{1, 1, 1, 2, std::string(Hub::most_kept + 1, 'x'), ""}, 0);
  hub.add(CallOver{1, at}, 0);
  CHECK(value(hub, "select count(*) from output") == "2");
  CHECK(value(hub, "select unkept from run") == "1");
}

TEST_CASE("a file of version 2 is taken on", "[hub]") {
  const DatabaseFile file;
  {
    Hub before(file.path());
    begin(before);
    before.flush();
    before.change({"drop table output", "pragma user_version = 2"});
  }
  Hub hub(file.path());
  begin(hub);
  hub.add(TaskPrinted{1, 0, 1, 2, "one\n", ""}, 0);
  CHECK(value(hub, "select stdout from output") == "one\n");
  CHECK(value(hub, "select count(*) from run") == "2");
  CHECK(value(hub, "pragma user_version") == std::to_string(schema_version));
}

TEST_CASE("a file of version 1 is taken on", "[hub]") {
  const DatabaseFile file;
  {
    SQLite::Database before(file.path(), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
    before.exec(
        "create table run (id integer primary key, began real not null, ended real, host text, process integer, program text, engines "
        "integer, "
        "outcome text not null default 'running', reason text, unrecorded integer not null default 0)");
    before.exec("insert into run (began) values (1); pragma user_version = 1");
  }
  Hub hub(file.path());
  begin(hub);
  CHECK(values(hub.query("select id, unkept from run order by id")) == std::vector<std::string>{"1", "0", "2", "0"});
  CHECK(value(hub, "select count(*) from kept") == "0");
  CHECK(value(hub, "pragma user_version") == std::to_string(schema_version));
}
