// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "engine/failure.hpp"

#include "engine/type_name.hpp"

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

wire::Failure describe_current_exception() {
  using enum wire::FailureKind;
  try {
    throw;
  } catch (const detail::StoodBack&) {
    return {stood_back, "", ""};
  } catch (const detail::ResultGone&) {
    return {gone, "", ""};
  } catch (const NameError& error) {
    return {name, "rankview::NameError", error.message()};
  } catch (const TypeError& error) {
    return {type, "rankview::TypeError", error.message()};
  } catch (const std::exception& error) {
    return {exception, type_name(typeid(error)), error.what()};
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

}  // namespace rankview::engine
