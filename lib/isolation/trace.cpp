// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "isolation/trace.hpp"

#include <cxxabi.h>
#include <dlfcn.h>
#include <cstdint>
#include <cstdlib>
#include <iomanip>
#include <memory>
#include <sstream>

namespace rankview::isolation {
namespace {

std::string demangled(const char* name) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> text(abi::__cxa_demangle(name, nullptr, nullptr, &status), std::free);
  return status == 0 ? text.get() : name;
}

}  // namespace

std::string trace_text(std::span<void* const> addresses) {
  std::ostringstream out;
  for (const void* const address : addresses) {
    Dl_info info{};
    out << "\n  at ";
    if (dladdr(address, &info) == 0) {
      out << address;
      continue;
    }
    if (info.dli_sname != nullptr) out << demangled(info.dli_sname) << ' ';
    const auto offset = reinterpret_cast<std::uintptr_t>(address) - reinterpret_cast<std::uintptr_t>(info.dli_fbase);
    out << '(' << (info.dli_fname != nullptr ? info.dli_fname : "?") << "+0x" << std::hex << offset << std::dec << ')';
  }
  return out.str();
}

}  // namespace rankview::isolation
