// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/metadata.hpp>

#include <cstdint>
#include <exception>
#include <string>

// What rows say of errors, code and this process.
namespace rankview::hub {

[[nodiscard]] const char* text_of(Status status);
// Of none: nothing.
[[nodiscard]] std::string error_text(const std::exception_ptr& error);
// As it stands in the source, if the name is a symbol's.
[[nodiscard]] std::string demangled(const std::string& name);
// The name that the loader knows of what lies there, or nothing.
[[nodiscard]] std::string loader_name(const void* code);
// The module that it lies in, and how far in it.
[[nodiscard]] std::string place_of(const void* code);
// What was typed to start this process.
[[nodiscard]] std::string command_line();
[[nodiscard]] std::string host_name();
void append(std::string& text, std::int64_t number);

}  // namespace rankview::hub
