// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

namespace rankview::hub {

// Of the tables below. A file with a higher number is left alone.
inline constexpr int schema_version = 3;

// Times are seconds since the epoch. Short tasks that went well lie some hundreds to a row of `pack`, as JSON: of each its number less
// `first`, its engine, when it started less `base`, in microseconds, how long it ran, in tenths of these, and how long after that rank 0
// had its result, in microseconds. The view `tasks` has a row for every task. What `kept` has are bytes as they travel, for which `code`
// says what to call: arguments begin with the number of parts that travel by themselves and the size of each, and these stand at the end.
inline constexpr const char* schema = R"sql(
create table if not exists run (
  id integer primary key, began real not null, ended real, host text, process integer, program text, engines integer,
  outcome text not null default 'running', reason text, unrecorded integer not null default 0, unkept integer not null default 0);
create table if not exists engine (
  run integer not null, id integer not null, rank integer, host text, process integer, slots integer, lost real, lost_why text,
  primary key (run, id)) without rowid;
create table if not exists call (
  run integer not null, id integer not null, label text, function text, tasks integer, submitted real, ended real,
  completed integer, failed integer, aborted integer, primary key (run, id)) without rowid;
create table if not exists task (
  run integer not null, call integer not null, item integer not null, status text not null, engine integer, attempts integer,
  started real, completed real, received real, error text, primary key (run, call, item)) without rowid;
create table if not exists retry (
  run integer not null, call integer not null, item integer not null, attempt integer not null, engine integer, at real, error text);
create table if not exists pack (
  run integer not null, call integer not null, first integer not null, base real not null, tasks text not null);
create table if not exists code (
  run integer not null, call integer not null, thunk text, thunk_module integer, thunk_offset integer, function text,
  function_module integer, function_offset integer, state blob, result text not null, direct integer not null, isolation integer not null,
  timeout integer not null, memory_limit integer not null, slots integer not null, primary key (run, call)) without rowid;
create table if not exists kept (
  run integer not null, call integer not null, item integer not null, engine integer, arguments blob, value blob,
  primary key (run, call, item));
create table if not exists output (
  run integer not null, call integer not null, item integer not null, attempt integer not null, engine integer not null, stdout text,
  stderr text, primary key (run, call, item, attempt, engine)) without rowid;
create view if not exists tasks as
  select run, call, item, status, engine, attempts, started, completed, received, completed - started as run_time, error from task
  union all
  select run, call, item, 'completed', engine, 1, started, started + run_time, started + run_time + waited, run_time, null from (
    select pack.run, pack.call, pack.first + json_extract(each.value, '$[0]') as item, json_extract(each.value, '$[1]') as engine,
      pack.base + json_extract(each.value, '$[2]') * 1e-6 as started, json_extract(each.value, '$[3]') * 1e-7 as run_time,
      json_extract(each.value, '$[4]') * 1e-6 as waited
    from pack, json_each(pack.tasks) as each);
)sql";

// What version 1 has not but for tables, which version 2 lacks likewise.
inline constexpr const char* since_version_1 = "alter table run add column unkept integer not null default 0";

}  // namespace rankview::hub
