// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace rankview::isolation {

// A place in a file of code: which byte of it.
struct Place {
  std::string path;
  std::uint64_t byte = 0;

  friend auto operator<=>(const Place&, const Place&) = default;
};

// For each place what is there: "f(int) (app.cpp:12)", or "f(int) (app+0x1139)" where the file has symbols and nothing tells the line, else
// "(app+0x1139)"; what was inlined there comes first, and stands in lines of its own. Symbols are read from the file itself; lines are what
// `addr2line` says, where that is installed and the file has debug information. Returns at about the limit, with what is known by then.
// What was found is remembered for the next time. Thread-safe.
std::vector<std::vector<std::string>> describe_places(std::span<const Place> places, std::chrono::milliseconds limit);

// The name under which the linker knows a function or constant of this process, as the symbols of its file have it; empty where these have
// been stripped, or where functions of several places have that name, as static ones may. Remembered; else it reads the file's symbols.
// Thread-safe.
std::string linker_name(const void* code);
// What the linker knows under that name, in the executable or else in a shared library that is loaded; null if nothing, or several. Reads
// the symbols of their files.
const void* place_named(const std::string& name);

}  // namespace rankview::isolation
