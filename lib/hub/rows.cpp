// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "hub/rows.hpp"

#include "hub/schema.hpp"
#include "hub/texts.hpp"

#include <rankview/metadata.hpp>

#include <unistd.h>
#include <exception>
#include <optional>
#include <stdexcept>
#include <utility>

namespace rankview::hub {
namespace {

// What took longer has a row of its own, in nanoseconds.
constexpr std::int64_t short_task = 1'000'000;
// Tasks in a row, at most.
constexpr std::uint64_t pack_tasks = 1000;

double seconds(std::int64_t nanoseconds) { return static_cast<double>(nanoseconds) * 1e-9; }

// Of this schema, or of none yet.
SQLite::Database opened(const std::string& path, int patience) {
  SQLite::Database database(path, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE, patience);
  const auto version = [&database] { return database.execAndGet("pragma user_version").getInt(); };
  if (version() > schema_version)
    throw std::runtime_error("it has version " + std::to_string(version()) + " of the tables, and this rankview knows version " +
                             std::to_string(schema_version));
  database.exec("pragma journal_mode = wal; pragma synchronous = normal");
  // Another run may begin it, or write to it.
  SQLite::Transaction transaction(database, SQLite::TransactionBehavior::IMMEDIATE);
  if (version() != schema_version) {
    if (version() == 1) database.exec(since_version_1);
    database.exec(schema);
    database.exec("pragma user_version = " + std::to_string(schema_version));
  }
  transaction.commit();
  return database;
}

}  // namespace

Rows::Rows(const std::string& path, NameOf name_of, int patience)
    : name_of_(name_of),
      database_(opened(path, patience)),
      insert_task_(database_, "insert or replace into task values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"),
      insert_pack_(database_, "insert into pack values (?, ?, ?, ?, ?)"),
      insert_call_(database_, "insert or replace into call values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"),
      insert_kept_(database_, "insert or replace into kept values (?, ?, ?, ?, ?, ?)"),
      insert_printed_(database_, "insert or replace into output values (?, ?, ?, ?, ?, ?, ?)") {}

std::string Rows::linker_name(const void* code) const {
  if (code == nullptr) return "";
  return name_of_ != nullptr ? name_of_(code) : loader_name(code);
}

std::string Rows::shown(const CallMade& made) const {
  if (made.code == nullptr) return demangled(made.callable);
  const std::string name = linker_name(made.code);
  return name.empty() ? place_of(made.code) : demangled(name);
}

void Rows::write(const std::vector<Event>& events, const Missing& missing) {
  const std::int64_t run = run_;
  try {
    SQLite::Transaction transaction(database_, SQLite::TransactionBehavior::IMMEDIATE);
    for (const Event& event : events) std::visit([this](const auto& each) { write(each); }, event);
    for (const auto& [number, was] : before_) {
      const auto changed = calls_.find(number);
      if (changed == calls_.end()) continue;
      write_pack(number, changed->second);
      if (changed->second.submitted && !changed->second.known) write_call(number, changed->second);
    }
    SQLite::Statement note(database_, "update run set unrecorded = ?, unkept = ? where id = ? and (unrecorded != ?1 or unkept != ?2)");
    note.bind(1, static_cast<std::int64_t>(missing.unrecorded));
    note.bind(2, static_cast<std::int64_t>(missing.unkept));
    note.bind(3, run_);
    note.exec();
    transaction.commit();
    before_.clear();
  } catch (...) {
    // A statement that has failed is of no use until it is reset, which says once more how it failed.
    for (SQLite::Statement* const statement : {&insert_task_, &insert_pack_, &insert_call_, &insert_kept_, &insert_printed_})
      static_cast<void>(statement->tryReset());
    run_ = run;
    for (auto& [number, was] : before_) {
      if (was) {
        calls_[number] = std::move(*was);
      } else {
        calls_.erase(number);
      }
    }
    before_.clear();
    throw;
  }
}

Rows::Call& Rows::change(std::uint64_t number) {
  const auto known = calls_.find(number);
  before_.try_emplace(number, known == calls_.end() ? std::nullopt : std::optional(known->second));
  return known == calls_.end() ? calls_[number] : known->second;
}

void Rows::write(const RunBegan& event) {
  SQLite::Statement insert(database_, "insert into run (began, host, process, program, engines) values (?, ?, ?, ?, ?)");
  insert.bind(1, seconds(event.at));
  insert.bind(2, host_name());
  insert.bind(3, static_cast<std::int64_t>(::getpid()));
  insert.bind(4, command_line());
  insert.bind(5, static_cast<std::int64_t>(event.engines.size()));
  insert.exec();
  run_ = database_.getLastInsertRowid();
  SQLite::Statement engine(database_, "insert into engine (run, id, rank, host, process, slots) values (?, ?, ?, ?, ?, ?)");
  for (std::size_t id = 0; id < event.engines.size(); ++id) {
    const EngineKnown& info = event.engines[id];
    engine.bind(1, run_);
    engine.bind(2, static_cast<std::int64_t>(id));
    engine.bind(3, info.rank);
    engine.bind(4, info.host);
    engine.bind(5, static_cast<std::int64_t>(info.pid));
    engine.bind(6, static_cast<std::int64_t>(info.slots));
    engine.exec();
    engine.reset();
  }
}

void Rows::write(const CallMade& event) {
  Call& call = change(event.call);
  call.made = event;
  call.submitted = true;
}

void Rows::write(const CallKept& event) {
  SQLite::Statement insert(database_, "insert or replace into code values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  insert.bind(1, run_);
  insert.bind(2, static_cast<std::int64_t>(event.call));
  int column = 3;
  for (const KeptCode* const code : {&event.thunk, &event.function}) {
    if (code->place != nullptr) {
      insert.bind(column, linker_name(code->place));
      insert.bind(column + 1, static_cast<std::int64_t>(code->module));
      insert.bind(column + 2, static_cast<std::int64_t>(code->offset));
    }
    column += 3;
  }
  insert.bindNoCopy(9, event.state.data(), static_cast<int>(event.state.size()));
  insert.bind(10, event.result);
  insert.bind(11, event.direct ? 1 : 0);
  insert.bind(12, event.isolation);
  insert.bind(13, event.timeout);
  insert.bind(14, static_cast<std::int64_t>(event.memory_limit));
  insert.bind(15, static_cast<std::int64_t>(event.slots));
  insert.exec();
}

void Rows::write(const TasksKept& event) {
  SQLite::Statement& insert = insert_kept_;
  const std::byte* from = event.bytes.data();
  for (const TasksKept::Task& task : event.tasks) {
    insert.bind(1, run_);
    insert.bind(2, static_cast<std::int64_t>(event.call));
    insert.bind(3, static_cast<std::int64_t>(task.item));
    insert.bind(4, task.engine);
    insert.bindNoCopy(5, from, static_cast<int>(task.arguments));
    if (task.has_value) {
      insert.bindNoCopy(6, from + task.arguments, static_cast<int>(task.value));
    } else {
      insert.bind(6);
    }
    insert.exec();
    insert.reset();
    from += task.arguments + task.value;
  }
}

void Rows::write(const TasksEnded& event) {
  Call& call = change(event.call);
  auto error = event.errors.begin();
  for (std::size_t i = 0; i < event.records.size(); ++i) {
    const detail::ItemRecord& record = event.records[i];
    const std::uint64_t item = event.first + i;
    call.completed += record.status == Status::completed ? 1 : 0;
    call.failed += record.status == Status::failed ? 1 : 0;
    call.aborted += record.status == Status::aborted ? 1 : 0;
    if (record.status == Status::completed && record.attempts == 1 && record.completed - record.started < short_task &&
        record.received >= record.completed) {
      pack(call, item, record);
      if (call.packed == pack_tasks) write_pack(event.call, call);
      continue;
    }
    while (error != event.errors.end() && error->task < item) ++error;
    const bool told = error != event.errors.end() && error->task == item;
    const std::string text = !told ? "" : error->error != nullptr ? error_text(error->error) : error->text;
    write_task(event.call, item, record, told ? &text : nullptr);
  }
}

void Rows::write(const TasksOmitted& event) {
  Call& call = change(event.call);
  call.completed += event.completed;
  call.aborted += event.aborted;
}

void Rows::pack(Call& call, std::uint64_t item, const detail::ItemRecord& record) {
  if (call.packed++ == 0) {
    call.first = item;
    call.base = record.started;
    call.pack = '[';
  } else {
    call.pack += ',';
  }
  call.pack += '[';
  append(call.pack, static_cast<std::int64_t>(item - call.first));
  for (const std::int64_t number : {std::int64_t{record.engine}, (record.started - call.base) / 1000,
                                    (record.completed - record.started) / 100, (record.received - record.completed) / 1000}) {
    call.pack += ',';
    append(call.pack, number);
  }
  call.pack += ']';
}

void Rows::write_pack(std::uint64_t number, Call& call) {
  if (call.packed == 0) return;
  call.pack += ']';
  insert_pack_.bind(1, run_);
  insert_pack_.bind(2, static_cast<std::int64_t>(number));
  insert_pack_.bind(3, static_cast<std::int64_t>(call.first));
  insert_pack_.bind(4, seconds(call.base));
  insert_pack_.bindNoCopy(5, call.pack);
  insert_pack_.exec();
  insert_pack_.reset();
  call.packed = 0;
  call.pack.clear();
}

void Rows::write_task(std::uint64_t call, std::uint64_t item, const detail::ItemRecord& record, const std::string* error) {
  SQLite::Statement& insert = insert_task_;
  insert.bind(1, run_);
  insert.bind(2, static_cast<std::int64_t>(call));
  insert.bind(3, static_cast<std::int64_t>(item));
  insert.bind(4, text_of(record.status));
  insert.bind(6, static_cast<std::int64_t>(record.attempts));
  const auto bind_if = [&insert](int column, std::int64_t time) {
    if (time != 0) {
      insert.bind(column, seconds(time));
    } else {
      insert.bind(column);
    }
  };
  if (record.engine >= 0) {
    insert.bind(5, record.engine);
  } else {
    insert.bind(5);
  }
  bind_if(7, record.started);
  bind_if(8, record.completed);
  bind_if(9, record.received);
  if (error != nullptr) {
    insert.bind(10, *error);
  } else {
    insert.bind(10);
  }
  insert.exec();
  insert.reset();
}

void Rows::write(const TaskRetried& event) {
  SQLite::Statement insert(database_, "insert into retry values (?, ?, ?, ?, ?, ?, ?)");
  insert.bind(1, run_);
  insert.bind(2, static_cast<std::int64_t>(event.call));
  insert.bind(3, static_cast<std::int64_t>(event.item));
  insert.bind(4, static_cast<std::int64_t>(event.attempt));
  insert.bind(5, event.engine);
  insert.bind(6, seconds(event.at));
  insert.bind(7, event.error);
  insert.exec();
}

void Rows::write(const TaskPrinted& event) {
  SQLite::Statement& insert = insert_printed_;
  insert.bind(1, run_);
  insert.bind(2, static_cast<std::int64_t>(event.call));
  insert.bind(3, static_cast<std::int64_t>(event.item));
  insert.bind(4, static_cast<std::int64_t>(event.attempt));
  insert.bind(5, event.engine);
  insert.bindNoCopy(6, event.out);
  insert.bindNoCopy(7, event.err);
  insert.exec();
  insert.reset();
}

void Rows::write(const EngineLost& event) {
  SQLite::Statement update(database_, "update engine set lost = ?, lost_why = ? where run = ? and id = ?");
  update.bind(1, seconds(event.at));
  update.bind(2, event.seen);
  update.bind(3, run_);
  update.bind(4, event.engine);
  update.exec();
}

void Rows::write(const CallOver& event) {
  // Of which nothing else has been told.
  if (!calls_.contains(event.call)) return;
  Call& call = change(event.call);
  call.over = event.at;
  write_pack(event.call, call);
  write_call(event.call, call);
  calls_.erase(event.call);
}

void Rows::write_call(std::uint64_t number, Call& call) {
  SQLite::Statement& insert = insert_call_;
  insert.bind(1, run_);
  insert.bind(2, static_cast<std::int64_t>(number));
  insert.bind(3, call.made.label);
  insert.bind(4, shown(call.made));
  insert.bind(5, static_cast<std::int64_t>(call.made.tasks));
  // Where the making of a call was given up.
  if (call.submitted) {
    insert.bind(6, seconds(call.made.submitted));
  } else {
    insert.bind(6);
  }
  if (call.over != 0) {
    insert.bind(7, seconds(call.over));
  } else {
    insert.bind(7);
  }
  insert.bind(8, static_cast<std::int64_t>(call.completed));
  insert.bind(9, static_cast<std::int64_t>(call.failed));
  insert.bind(10, static_cast<std::int64_t>(call.aborted));
  insert.exec();
  insert.reset();
  call.known = true;
}

void Rows::write(const RunEnded& event) {
  SQLite::Statement update(database_, "update run set ended = ?, outcome = ?, reason = ? where id = ?");
  update.bind(1, seconds(event.at));
  update.bind(2, event.failed ? "failed" : "completed");
  update.bind(3, event.reason);
  update.bind(4, run_);
  update.exec();
}

}  // namespace rankview::hub
