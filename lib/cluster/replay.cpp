// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "cluster/replay.hpp"

#include "controller/again.hpp"
#include "controller/controller.hpp"
#include "engine/type_name.hpp"

#include <rankview/detail/looked_up.hpp>
#include <rankview/errors.hpp>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace rankview::inline abi_0_1 {
namespace {

// Keeps its result as it comes. What travels beside it is dropped.
class Replayed final : public detail::Call {
 public:
  Replayed() : Call(true) {}
  void grow(std::uint64_t, std::uint64_t) override {}
  void load(std::uint64_t, detail::Reader& in) override {
    const auto bytes = in.take(in.remaining());
    value.assign(bytes.begin(), bytes.end());
  }
  void discard() noexcept override { value.clear(); }

  std::vector<std::byte> value;
};

template <class Number>
bool take_number(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

// The task that is named so: 17.3, 17 for the first of call 17, each perhaps with a run before it, 2:17.3.
bool take_task(std::string_view text, Replay& into) {
  if (const auto colon = text.find(':'); colon != std::string_view::npos) {
    if (!take_number(text.substr(0, colon), into.run) || into.run < 1) return false;
    text = text.substr(colon + 1);
  }
  const auto point = text.find('.');
  if (!take_number(text.substr(0, point), into.task.call)) return false;
  return point == std::string_view::npos || take_number(text.substr(point + 1), into.task.item);
}

std::string shown(const std::string& text) { return '"' + text + '"'; }
std::string shown(bool value) { return value ? "true" : "false"; }
template <class T>
std::string shown(const T& value) {
  std::ostringstream out;
  out.precision(17);
  out << value;
  return out.str();
}
template <class T>
std::string shown(const std::vector<T>& values) {
  constexpr std::size_t most = 20;
  std::string text;
  for (std::size_t i = 0; i < values.size() && i < most; ++i) text += (i == 0 ? "" : ", ") + shown(values[i]);
  return "{" + text + (values.size() > most ? ", ...}" : "}");
}

// Of what can be written in a line, that line; else nothing.
template <class... T>
std::string text_of(const std::type_info& type, std::span<const std::byte> bytes) {
  std::string text;
  const auto add = [&]<class Value>(std::type_identity<Value>) {
    if (type == typeid(Value)) {
      detail::Reader in(bytes);
      text = ": " + shown(detail::codec<Value>::load(in));
    }
  };
  try {
    (add(std::type_identity<T>()), ...);
  } catch (const DecodeError&) {
    // What is long did not come along.
    text.clear();
  }
  return text;
}

std::string text_of_value(const std::type_info& type, std::span<const std::byte> bytes) {
  return text_of<bool, char, short, int, long, long long, unsigned char, unsigned short, unsigned, unsigned long, unsigned long long, float,
                 double, std::string, std::vector<int>, std::vector<double>, std::vector<std::string>>(type, bytes);
}

}  // namespace

std::optional<Replay> wanted_replay() {
  const char* const set = std::getenv("RANKVIEW_REPLAY");
  if (set == nullptr || *set == '\0') return std::nullopt;
  const std::string_view text(set);
  // The file's name may have colons, too.
  for (auto colon = text.find(':'); colon != std::string_view::npos; colon = text.find(':', colon + 1)) {
    Replay wanted;
    wanted.file = text.substr(0, colon);
    if (!take_task(text.substr(colon + 1), wanted)) continue;
    if (!std::filesystem::exists(wanted.file)) throw UsageError("RANKVIEW_REPLAY: there is no file " + wanted.file);
    return wanted;
  }
  throw UsageError(
      "RANKVIEW_REPLAY should be a task database and a task in it, run.db:17.3, or run.db:2:17.3 for that of run 2, and is \"" +
      std::string(text) + "\"");
}

int replay(const Replay& wanted) {
  try {
    const auto controller = detail::running_controller();
    detail::Again task = detail::find_one_again(*controller, wanted.run, wanted.task);
    const auto call = detail::make_call<Replayed>();
    call->controller = controller;
    const std::string name = "task " + to_string(wanted.task) + " of " + wanted.file;
    const std::type_info& type = *task.function.thunk->result;
    std::fprintf(stderr, "rankview: %s is run here\n", name.c_str());
    detail::submit_again(call, task);
    const AsyncResult<int> handle(call);
    handle.wait();
    if (const std::exception_ptr error = detail::error_of(*call)) {
      try {
        std::rethrow_exception(error);
      } catch (const std::exception& why) {
        std::printf("%s fails: %s\n", name.c_str(), why.what());
      }
      return 1;
    }
    if (type == typeid(void)) {
      std::printf("%s has ended, and gives nothing\n", name.c_str());
    } else {
      std::printf("%s gives a %s%s\n", name.c_str(), engine::type_name(type).c_str(), text_of_value(type, call->value).c_str());
    }
    return 0;
  } catch (const Error& error) {
    std::fprintf(stderr, "rankview: RANKVIEW_REPLAY: %s\n", error.what());
    return 1;
  }
}

}  // namespace rankview
