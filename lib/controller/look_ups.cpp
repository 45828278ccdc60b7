// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/look_ups.hpp"
#include "controller/controller.hpp"
#include "controller/items.hpp"
#include "engine/type_name.hpp"
#include "wire/error_text.hpp"

#include <rankview/detail/caught.hpp>
#include <rankview/detail/looked_up.hpp>
#include <rankview/errors.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <exception>
#include <map>
#include <string>
#include <utility>

namespace rankview::inline abi_0_1 {

Table Hub::query(const std::string& sql, const std::vector<Value>& values) const { return controller::ask(*controller_, sql, values); }

std::int64_t Hub::run() const { return controller::number_of_run(*controller_, 0); }

}  // namespace rankview

namespace rankview::controller {

Table ask(detail::Controller& controller, const std::string& sql, const TaskArchive::Values& values) {
  TaskArchive& archive = controller.archive();
  try {
    return archive.query(sql, values);
  } catch (const std::exception& error) {
    throw UsageError(std::string("the hub: ") + error.what());
  }
}

std::int64_t number_of_run(detail::Controller& controller, std::int64_t run) {
  if (run != 0) return run;
  const std::int64_t known = controller.archive().run();
  if (known == 0) throw UsageError("the hub knows nothing of this run, since it could not be written");
  return known;
}

std::string shown(std::int64_t run, const TaskId& task) { return "task " + to_string(task) + " of run " + std::to_string(run); }

std::int64_t number_in(const std::optional<std::string>& cell) {
  std::int64_t number = 0;
  if (cell) std::from_chars(cell->data(), cell->data() + cell->size(), number);
  return number;
}

std::vector<std::string> lists_of(const std::vector<std::uint64_t>& items) {
  constexpr std::size_t at_once = 500;
  std::vector<std::string> lists;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i % at_once == 0) {
      lists.emplace_back();
    } else {
      lists.back() += ',';
    }
    lists.back() += std::to_string(items[i]);
  }
  return lists;
}

}  // namespace rankview::controller

namespace rankview::inline abi_0_1::detail {

namespace controller = rankview::controller;
using controller::number_in;

namespace {

void change(Controller& controller, const std::vector<std::string>& statements, const controller::TaskArchive::Values& values) {
  controller::TaskArchive& archive = controller.archive();
  try {
    archive.change(statements, values);
  } catch (const std::exception& error) {
    throw UsageError(std::string("the hub: ") + error.what());
  }
}

// What is asked for as a number of nanoseconds since the epoch.
std::string nanoseconds_of(const std::string& column) { return "cast(round(" + column + " * 1e9) as integer)"; }

Metadata::Time time_in(const std::optional<std::string>& cell) {
  return Metadata::Time(std::chrono::duration_cast<Metadata::Time::duration>(std::chrono::nanoseconds(number_in(cell))));
}

std::uint64_t count_in(const std::optional<std::string>& cell) { return static_cast<std::uint64_t>(number_in(cell)); }

Status status_in(const std::optional<std::string>& cell) {
  for (const Status status : {Status::completed, Status::failed, Status::aborted}) {
    if (cell == to_string(status)) return status;
  }
  return Status::waiting;
}

}  // namespace

std::vector<TaskOfRun> of_run(std::int64_t run, const std::vector<TaskId>& tasks) {
  std::vector<TaskOfRun> all;
  all.reserve(tasks.size());
  for (const TaskId& task : tasks) all.push_back({run, task});
  return all;
}

std::vector<TaskOfRun> of_records(const std::vector<TaskRecord>& records) {
  std::vector<TaskOfRun> all;
  all.reserve(records.size());
  for (const TaskRecord& record : records) all.push_back({record.run, record.task});
  return all;
}

std::vector<CallRecord> history(Controller& controller, std::int64_t run) {
  const Table table = controller::ask(controller,
                                      "select run, id, label, function, tasks, completed, failed, aborted, " + nanoseconds_of("submitted") +
                                          ", " + nanoseconds_of("ended") + " from call where run = ? order by id",
                                      {controller::number_of_run(controller, run)});
  std::vector<CallRecord> calls;
  calls.reserve(table.rows.size());
  for (const auto& row : table.rows) {
    CallRecord& call = calls.emplace_back();
    call.run = number_in(row[0]);
    call.call = count_in(row[1]);
    call.label = row[2].value_or("");
    call.function = row[3].value_or("");
    call.tasks = count_in(row[4]);
    call.completed = count_in(row[5]);
    call.failed = count_in(row[6]);
    call.aborted = count_in(row[7]);
    call.submitted = time_in(row[8]);
    call.ended = time_in(row[9]);
  }
  return calls;
}

std::vector<TaskRecord> find_tasks(Controller& controller, const TaskQuery& query) {
  std::string where;
  controller::TaskArchive::Values values;
  const auto add = [&](const char* condition, Hub::Value value) {
    where += (where.empty() ? " where " : " and ") + std::string(condition);
    values.push_back(std::move(value));
  };
  if (query.run) add("t.run = ?", *query.run);
  if (query.call) add("t.call = ?", static_cast<std::int64_t>(*query.call));
  if (query.status) add("t.status = ?", to_string(*query.status));
  if (query.engine) add("t.engine = ?", std::int64_t{*query.engine});
  if (query.host) add("engine.host = ?", *query.host);
  if (query.label) add("call.label = ?", *query.label);
  if (query.function) add("instr(call.function, ?)", *query.function);
  if (query.error) add("instr(t.error, ?)", *query.error);
  if (query.longer_than) add("t.run_time > ?", query.longer_than->count());
  std::string sql = "select t.run, t.call, t.item, t.status, t.engine, t.attempts, t.error, call.label, call.function, engine.host";
  for (const char* const stream : {"stdout", "stderr"}) {
    sql += std::string(", (select group_concat(") + stream +
           ", '') from output where run = t.run and call = t.call and item = t.item and attempt = t.attempts)";
  }
  for (const char* const time : {"call.submitted", "t.started", "t.completed", "t.received"}) sql += ", " + nanoseconds_of(time);
  sql +=
      " from tasks as t left join call on call.run = t.run and call.id = t.call"
      " left join engine on engine.run = t.run and engine.id = t.engine" +
      where + " order by t.run, t.call, t.item";
  if (query.limit) {
    sql += " limit ?";
    values.emplace_back(static_cast<std::int64_t>(*query.limit));
  }
  const Table table = controller::ask(controller, sql, values);
  std::vector<TaskRecord> tasks;
  tasks.reserve(table.rows.size());
  for (const auto& row : table.rows) {
    TaskRecord& task = tasks.emplace_back();
    task.run = number_in(row[0]);
    task.task = {count_in(row[1]), count_in(row[2])};
    task.status = status_in(row[3]);
    task.engine = row[4] ? static_cast<int>(number_in(row[4])) : -1;
    task.attempt = static_cast<int>(number_in(row[5]));
    task.error = row[6].value_or("");
    task.label = row[7].value_or("");
    task.function = row[8].value_or("");
    task.host = row[9].value_or("");
    task.stdout_text = row[10].value_or("");
    task.stderr_text = row[11].value_or("");
    task.submitted = time_in(row[12]);
    task.started = time_in(row[13]);
    task.completed = time_in(row[14]);
    task.received = time_in(row[15]);
  }
  return tasks;
}

void purge(Controller& controller, const std::vector<TaskOfRun>& tasks) {
  std::map<std::pair<std::int64_t, std::uint64_t>, std::vector<std::uint64_t>> calls;
  for (const TaskOfRun& each : tasks) calls[{controller::number_of_run(controller, each.run), each.task.call}].push_back(each.task.item);
  for (const auto& [call, items] : calls) {
    std::vector<std::string> statements;
    for (const std::string& list : controller::lists_of(items)) {
      for (const char* const table : {"task", "retry", "kept", "output"})
        statements.push_back(std::string("delete from ") + table + " where run = ?1 and call = ?2 and item in (" + list + ")");
      const std::string number = "pack.first + json_extract(each.value, '$[0]')";
      const std::string each = " from json_each(pack.tasks) as each where " + number;
      std::string& rest = statements.emplace_back("update pack set tasks = (select json_group_array(json(each.value))");
      rest.append(each).append(" not in (").append(list).append(")) where run = ?1 and call = ?2 and exists (select 1");
      rest.append(each).append(" in (").append(list).append("))");
    }
    statements.emplace_back("delete from pack where run = ?1 and call = ?2 and tasks = '[]'");
    change(controller, statements, {call.first, static_cast<std::int64_t>(call.second)});
  }
}

namespace {

// Removes the runs of which that is so; `?1` is the value.
void purge_runs(Controller& controller, const std::string& which, const Hub::Value& value) {
  std::vector<std::string> statements;
  for (const char* const table : {"engine", "call", "task", "retry", "pack", "code", "kept", "output"})
    statements.push_back(std::string("delete from ") + table + " where run in (select id from run where " + which + ")");
  statements.push_back("delete from run where " + which);
  change(controller, statements, {value});
}

}  // namespace

void purge_run(Controller& controller, std::int64_t run) {
  if (run == controller::number_of_run(controller, 0))
    throw UsageError("run " + std::to_string(run) + " is this one, which is being written: purge() takes its tasks");
  purge_runs(controller, "id = ?1", run);
}

void purge_before(Controller& controller, Metadata::Time time) {
  const std::string others = "id != " + std::to_string(controller::number_of_run(controller, 0));
  purge_runs(controller, others + " and coalesce(ended, began) < ?1", Seconds(time.time_since_epoch()).count());
}

namespace {

void check_type(const std::string& found, const std::type_info& wanted, const std::string& whose) {
  if (found != wanted.name())
    throw TypeError("the result of " + whose + " is a " + engine::type_name(found.c_str()) + ", not a " + engine::type_name(wanted));
}

// Of a call of this run that is still known; nothing if its results are not there any more, or never were.
std::optional<std::string> result_here(Controller& controller, const TaskId& task, const std::type_info& type) {
  const std::shared_ptr<Call> call = controller.named({{}, task});
  if (call == nullptr || !can_be_kept(*call) || call->life().subtask || call->life().abandoned) return std::nullopt;
  check_type(call->function.thunk->result->name(), type, "task " + to_string(task));
  // Where code of the user's reads results, the others have to be in their places, too.
  call->plain ? wait(*call, task.item, {}) : wait(*call, {});
  if (const std::exception_ptr error = error_of(*call, task.item)) std::rethrow_exception(error);
  Writer out;
  out.flat = true;
  if (call->plain) {
    controller.locked([&] { call->save(task.item, out); });
  } else {
    call->save(task.item, out);
  }
  const auto bytes = out.bytes.bytes();
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

}  // namespace

std::string find_result(Controller& controller, const TaskOfRun& task, const std::type_info& type) {
  if (task.run == 0) {
    if (auto found = result_here(controller, task.task, type)) return *found;
  }
  const std::int64_t run = controller::number_of_run(controller, task.run);
  const std::string whose = controller::shown(run, task.task);
  const controller::TaskArchive::Values place{run, static_cast<std::int64_t>(task.task.call), static_cast<std::int64_t>(task.task.item)};
  const Table kept = controller::ask(controller,
                                     "select kept.value, code.result from kept join code on code.run = kept.run and code.call = kept.call "
                                     "where kept.run = ? and kept.call = ? and kept.item = ? and kept.value is not null",
                                     place);
  if (!kept.rows.empty()) {
    check_type(kept.rows[0][1].value_or(""), type, whose);
    return kept.rows[0][0].value_or("");
  }
  const Table known = controller::ask(controller, "select status, error from tasks where run = ? and call = ? and item = ?", place);
  if (known.rows.empty()) throw UsageError(whose + " is not in the hub: it has not ended, never was, or has been purged");
  switch (status_in(known.rows[0][0])) {
    case Status::failed:
      throw Error(whose + " failed: " + known.rows[0][1].value_or(""));
    case Status::aborted:
      throw TaskAborted(whose + " was given up: " + known.rows[0][1].value_or(""));
    default:
      throw UsageError("the result of " + whose +
                       " was not kept: for that the run that makes it needs Options::keep = rv::Keep::all, or RANKVIEW_KEEP=all");
  }
}

void throw_unreadable(const TaskOfRun& task, const std::type_info& type) {
  throw DecodeError("the result of task " + to_string(task.task) + (task.run == 0 ? "" : " of run " + std::to_string(task.run)) +
                    ", which was kept, cannot be read as a " + engine::type_name(type) +
                    ", so that type has changed: " + wire::error_text(caught()));
}

}  // namespace rankview::detail
