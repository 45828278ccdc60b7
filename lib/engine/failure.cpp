// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "engine/failure.hpp"

#include "engine/current.hpp"
#include "engine/task_host.hpp"
#include "engine/type_name.hpp"
#include "execute/loaded_code.hpp"
#include "transport/process.hpp"
#include "wire/error_text.hpp"

#include <rankview/detail/caught.hpp>
#include <rankview/detail/collective.hpp>
#include <rankview/detail/kept_result.hpp>
#include <rankview/errors.hpp>

#include <cxxabi.h>
#include <exception>
#include <string>
#include <typeinfo>

namespace rankview::engine {
namespace {

std::string current_type() {
  const std::type_info* const type = abi::__cxa_current_exception_type();
  return type == nullptr ? "an exception of unknown type" : type_name(*type);
}

}  // namespace

namespace {

wire::Failure describe_exception() {
  using enum wire::FailureKind;
  try {
    throw;
  } catch (const Described& described) {
    return described.failure;
  } catch (const detail::StoodBack&) {
    return {stood_back, "", ""};
  } catch (const detail::TeamBroken&) {
    return {team_broken, "", ""};
  } catch (const detail::ResultGone&) {
    return {gone, "", ""};
  } catch (const NameError& error) {
    return {name, "rankview::NameError", error.message()};
  } catch (const TypeError& error) {
    return {type, "rankview::TypeError", error.message()};
  } catch (const std::exception& error) {
    return {exception, type_name(typeid(error)), wire::error_text(error)};
  } catch (const std::string& text) {
    return {exception, "std::string", text};
  } catch (const char* text) {
    return {exception, "const char*", text == nullptr ? "(null)" : text};
  } catch (const int value) {
    return {exception, "int", std::to_string(value)};
  } catch (const long value) {
    return {exception, "long", std::to_string(value)};
  } catch (const double value) {
    return {exception, "double", std::to_string(value)};
  } catch (...) {
    return {exception, current_type(), "thrown, and not derived from std::exception, so there is no message"};
  }
}

}  // namespace

wire::Failure describe_current_exception() {
  static_cast<void>(detail::caught());
  wire::Failure failure = describe_exception();
  failure.message += execute::take_place_of_failure();
  return failure;
}

std::string describe_uncaught() {
  static_cast<void>(detail::caught());
  try {
    throw;
  } catch (const RemoteError& error) {
    return type_name(typeid(error)) + ": " + wire::error_text(error);
  } catch (...) {
    const wire::Failure failure = describe_current_exception();
    return failure.type_name + ": " + failure.message;
  }
}

}  // namespace rankview::engine

namespace rankview::inline abi_0_1::detail {

std::exception_ptr caught() noexcept {
  if (std::exception_ptr exception = std::current_exception()) return exception;
  const engine::TaskHost* const host = engine::current();
  transport::end_process(
      1, host == nullptr
             ? "the client's thread was ended by pthread_exit or pthread_cancel, and with it the program; return instead"
             : "a task left engine " + std::to_string(host->id()) +
                   " by pthread_exit, or cancelled its thread: the engine cannot go on without it; return from the task instead");
}

}  // namespace rankview::detail
