// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "controller/again.hpp"

#include "controller/controller.hpp"
#include "controller/items.hpp"
#include "controller/look_ups.hpp"
#include "engine/type_name.hpp"
#include "isolation/symbols.hpp"
#include "wire/modules.hpp"

#include <rankview/detail/looked_up.hpp>
#include <rankview/errors.hpp>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <utility>

// Tasks that are run again from what the database has kept of them.
namespace rankview::inline abi_0_1::detail {

namespace controller = rankview::controller;
using controller::number_in;

namespace {

std::span<const std::byte> bytes_of(const std::string& text) { return {reinterpret_cast<const std::byte*>(text.data()), text.size()}; }

// Code that was kept, as this process has it. In the same build it is where it was; otherwise it is found by its name. Null if there is
// none.
const void* kept_code_place(const std::string& name, const CodeAddress& address) {
  const auto modules = rankview::wire::loaded_modules();
  const bool same = std::any_of(modules.begin(), modules.end(), [&](const auto& module) { return module.id == address.module; });
  if (!same) return name.empty() ? nullptr : isolation::place_named(name);
  const void* const place = local_address(address);
  // Then the place has that name, unless somebody has changed the file.
  return isolation::linker_name(place) == name ? place : nullptr;
}

// What tasks of one call are, and were.
struct KeptCall {
  Function function;
  std::string label;
  bool direct = false;
  Flags flags;
};

KeptCall find_call(Controller& controller, std::int64_t run, std::uint64_t call, const TaskId& task, const std::type_info* type) {
  const Table table = controller::ask(
      controller,
      "select thunk, thunk_module, thunk_offset, code.function, function_module, function_offset, state, result, direct, isolation, "
      "timeout, memory_limit, slots, label, call.function from code left join call on call.run = code.run and call.id = code.call "
      "where code.run = ? and code.call = ?",
      {run, static_cast<std::int64_t>(call)});
  const std::string whose = controller::shown(run, task);
  if (table.rows.empty())
    throw UsageError(whose +
                     " cannot be run again, since its arguments were not kept: of tasks that failed they are, unless "
                     "Options::keep = rv::Keep::none, and of all with rv::Keep::all (RANKVIEW_KEEP)");
  const auto& row = table.rows.front();
  const std::string result = row[7].value_or("");
  if (type != nullptr && result != type->name())
    throw TypeError("the result of " + whose + " is a " + engine::type_name(result.c_str()) + ", not a " + engine::type_name(*type));
  const auto code = [&](std::size_t column) {
    const CodeAddress address{static_cast<std::uint64_t>(number_in(row[column + 1])),
                              static_cast<std::uint64_t>(number_in(row[column + 2]))};
    const void* const place = kept_code_place(row[column].value_or(""), address);
    if (place == nullptr)
      throw UsageError(whose + " cannot be run again by this build of the program, which has no " +
                       (row[14].value_or("").empty() ? "function of that name" : *row[14]) + ", or several" +
                       (row[column].value_or("").empty() ? " (the build that kept it was stripped, so that its name is not known)" : ""));
    return place;
  };
  KeptCall kept;
  kept.function.thunk = static_cast<const Thunk*>(code(0));
  if (row[4]) kept.function.code = code(3);
  if (kept.function.thunk->load != nullptr) {
    const std::string state = row[6].value_or("");
    kept.function.object.edit().raw(state.data(), state.size());
  }
  if (kept.function.thunk->result == nullptr || kept.function.thunk->result->name() != result)
    throw UsageError(whose + " cannot be run again by this build of the program: its callable returns something else now");
  kept.direct = number_in(row[8]) != 0;
  kept.label = row[13].value_or("");
  kept.flags.isolation = static_cast<Isolation>(number_in(row[9]));
  kept.flags.timeout = Seconds(std::chrono::nanoseconds(number_in(row[10])));
  kept.flags.memory_limit = static_cast<std::uint64_t>(number_in(row[11]));
  kept.flags.slots = static_cast<int>(number_in(row[12]));
  kept.flags.label = kept.label;
  return kept;
}

struct KeptArguments {
  int engine = -1;
  std::shared_ptr<const std::string> bytes;
};

std::map<std::uint64_t, KeptArguments> find_arguments(Controller& controller, std::int64_t run, std::uint64_t call,
                                                      const std::vector<std::uint64_t>& items) {
  std::map<std::uint64_t, KeptArguments> found;
  for (const std::string& list : controller::lists_of(items)) {
    Table table =
        controller::ask(controller, "select item, engine, arguments from kept where run = ? and call = ? and item in (" + list + ")",
                        {run, static_cast<std::int64_t>(call)});
    for (auto& row : table.rows) {
      if (row[2])
        found[static_cast<std::uint64_t>(number_in(row[0]))] = {static_cast<int>(number_in(row[1])),
                                                                std::make_shared<const std::string>(std::move(*row[2]))};
    }
  }
  return found;
}

Function copy_of(const Function& function) {
  Function copy;
  copy.thunk = function.thunk;
  copy.code = function.code;
  if (function.object) {
    const auto state = function.object->bytes.bytes();
    copy.object.edit().raw(state.data(), state.size());
  }
  return copy;
}

}  // namespace

Again find_one_again(Controller& controller, std::int64_t run, const TaskId& task) {
  if (run == 0)
    run = number_in(controller::ask(controller, "select max(run) from kept where call = ? and item = ?",
                                    {static_cast<std::int64_t>(task.call), static_cast<std::int64_t>(task.item)})
                        .rows.at(0)
                        .at(0));
  if (run == 0) throw UsageError("no run has kept the arguments of task " + to_string(task) + " (Options::keep, RANKVIEW_KEEP)");
  KeptCall kept = find_call(controller, run, task.call, task, nullptr);
  const auto found = find_arguments(controller, run, task.call, {task.item});
  if (found.empty()) throw UsageError("the arguments of " + controller::shown(run, task) + " were not kept (Options::keep, RANKVIEW_KEEP)");
  Again again;
  again.arguments.push_back(found.begin()->second.bytes);
  again.function = std::move(kept.function);
  again.label = kept.label;
  return again;
}

std::vector<Again> find_again(Controller& controller, const std::vector<TaskOfRun>& tasks, const std::type_info& type, const Flags& flags) {
  if (!flags.checkpoint->empty()) throw UsageError("resubmit() runs tasks again, whatever a checkpoint has of them");
  using CallOfRun = std::pair<std::int64_t, std::uint64_t>;
  std::map<CallOfRun, std::vector<std::size_t>> calls;  // the places of their tasks
  for (std::size_t i = 0; i < tasks.size(); ++i)
    calls[{controller::number_of_run(controller, tasks[i].run), tasks[i].task.call}].push_back(i);
  std::vector<Again> all;
  for (const auto& [call, places] : calls) {
    std::vector<std::uint64_t> items;
    for (const std::size_t place : places) items.push_back(tasks[place].task.item);
    const auto found = find_arguments(controller, call.first, call.second, items);
    const KeptCall kept = find_call(controller, call.first, call.second, tasks[places.front()].task, &type);
    // Those of a direct view by their engines.
    std::map<int, Again> by_engine;
    for (const std::size_t place : places) {
      const TaskId& task = tasks[place].task;
      const auto at = found.find(task.item);
      if (at == found.end())
        throw UsageError(controller::shown(call.first, task) +
                         " cannot be run again, since its arguments were not kept: with RANKVIEW_KEEP=all those of all tasks are, and "
                         "otherwise of tasks that failed");
      const int engine = kept.direct && flags.targets->empty() ? at->second.engine : -1;
      if (kept.direct && flags.targets->empty() && engine < 0)
        throw UsageError(controller::shown(call.first, task) +
                         " was for one engine and never came to it, so that it is not known which: name one by the flag targets");
      Again& again = by_engine[engine];
      again.places.push_back(place);
      again.arguments.push_back(at->second.bytes);
    }
    for (auto& [engine, again] : by_engine) {
      again.function = copy_of(kept.function);
      again.label = kept.label;
      again.flags = kept.flags;
      again.flags.add(flags);
      if (engine >= 0) again.engines = all_live(controller, {resolve(controller, engine)});
      if (!flags.targets->empty()) again.engines = all_live(controller, resolve(controller, flags.targets));
      all.push_back(std::move(again));
    }
  }
  return all;
}

namespace {

// Writes the arguments of an item as they were.
void write_arguments(Writer& out, const std::shared_ptr<const std::string>& kept) {
  Reader in(bytes_of(*kept));
  std::vector<std::uint64_t> sizes(in.count(sizeof(std::uint64_t)));
  std::uint64_t attached = 0;
  for (std::uint64_t& size : sizes) {
    size = in.value<std::uint64_t>();
    if (size > in.remaining() || attached + size > in.remaining()) throw DecodeError("the arguments of a task that were kept are damaged");
    attached += size;
  }
  if (attached > in.remaining()) throw DecodeError("the arguments of a task that were kept are damaged");
  const auto bytes = in.take(in.remaining() - static_cast<std::size_t>(attached));
  out.raw(bytes.data(), bytes.size());
  for (const std::uint64_t size : sizes) {
    const auto part = in.take(static_cast<std::size_t>(size));
    out.attachments.push_back({part.data(), part.size()});
  }
  if (!sizes.empty()) out.kept.push_back(kept);
}

}  // namespace

void submit_again(const std::shared_ptr<Call>& call, const Again& tasks) {
  call->function = copy_of(tasks.function);
  call->spread = Spread::pool;
  call->engines = tasks.engines;
  if (tasks.flags.chunksize <= 0) throw UsageError("chunksize must be at least 1, and is " + std::to_string(tasks.flags.chunksize));
  call->chunk_size = static_cast<std::uint32_t>(tasks.flags.chunksize);
  call->ordered = tasks.flags.ordered;
  set_label(*call, tasks.flags.label);
  set_balanced_terms(*call, tasks.flags);
  Submission submission(call, tasks.arguments.size());
  for (const auto& arguments : tasks.arguments) {
    // Also where all are of one size: each has its own before it.
    Writer& out = submission.begin_item(0);
    write_arguments(out, arguments);
    submission.end_item();
  }
  submission.finish(true);
}

void throw_not_together() {
  throw UsageError("tasks of several calls, or of several engines, whose results cannot be copied: resubmit them one call at a time");
}

}  // namespace rankview::detail
