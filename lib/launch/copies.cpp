// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "launch/copies.hpp"

#include "wire/elf_notes.hpp"

#include <rankview/errors.hpp>

#include <link.h>
#include <cstdio>
#include <string>

namespace rankview::launch {
namespace {

// Every module with a runtime in it carries this note, which can be found even where its symbols cannot.
struct Note {
  ElfW(Nhdr) header;
  char owner[12];
};
constexpr ElfW(Word) note_type = 0x7276;
// Notes lie one behind the other: nothing between them for an AddressSanitizer.
#ifdef __clang__
[[clang::no_sanitize("address")]]
#endif
[[gnu::used, gnu::section(".note.rankview")]] alignas(4) constexpr Note note{{9, 0, note_type}, "rankview"};

// The modules with a runtime in them, "A and B"; empty if it is but one.
std::string copies() {
  struct Found {
    int count = 0;
    std::string names;
  } found;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* data) {
        if (!wire::find_note(*info, "rankview", note_type)) return 0;
        auto& f = *static_cast<Found*>(data);
        const bool named = info->dlpi_name != nullptr && *info->dlpi_name != '\0';
        f.names += (f.count++ == 0 ? "" : " and ") + std::string(named ? info->dlpi_name : "the executable");
        return 0;
      },
      &found);
  return found.count > 1 ? found.names : "";
}

std::string complaint(const std::string& where) {
  return "rankview's runtime is in this program more than once: in " + where +
         "; include <rankview/embedded.hpp>, or link the static library, in one of them only, or link the shared library to all";
}

// A copy that comes with a shared library may never be asked to start anything, and yet be used.
[[maybe_unused]] const bool told = [] {
  const std::string where = copies();
  if (!where.empty()) std::fprintf(stderr, "rankview: %s\n", complaint(where).c_str());
  return true;
}();

}  // namespace

void refuse_copies() {
  if (const std::string where = copies(); !where.empty()) throw UsageError(complaint(where));
}

}  // namespace rankview::launch
