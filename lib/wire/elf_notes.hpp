// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <elf.h>
#include <link.h>
#include <cstddef>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

namespace rankview::wire {

// What whoever built a loaded module has noted in it: the content of the first note of this owner and type.
inline std::optional<std::span<const unsigned char>> find_note(const dl_phdr_info& info, std::string_view owner, ElfW(Word) type) {
  const auto padded = [](std::size_t size) { return (size + 3) & ~std::size_t{3}; };
  for (int i = 0; i < info.dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = info.dlpi_phdr[i];
    if (segment.p_type != PT_NOTE) continue;
    const auto* note = reinterpret_cast<const unsigned char*>(info.dlpi_addr + segment.p_vaddr);
    const unsigned char* const end = note + segment.p_memsz;
    while (note + sizeof(ElfW(Nhdr)) <= end) {
      ElfW(Nhdr) header;
      std::memcpy(&header, note, sizeof(header));
      const unsigned char* const name = note + sizeof(header);
      const unsigned char* const content = name + padded(header.n_namesz);
      if (content + header.n_descsz > end) break;
      // The size of a name counts its final 0.
      if (header.n_type == type && header.n_namesz == owner.size() + 1 && std::memcmp(name, owner.data(), owner.size()) == 0)
        return std::span(content, header.n_descsz);
      note = content + padded(header.n_descsz);
    }
  }
  return std::nullopt;
}

}  // namespace rankview::wire
