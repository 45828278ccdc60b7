// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include <rankview/detail/code_address.hpp>
#include <rankview/errors.hpp>

#include <elf.h>
#include <link.h>
#include <array>
#include <cstddef>
#include <cstring>
#include <optional>
#include <string>

namespace rankview::detail {
namespace {

std::uint64_t hash(const unsigned char* bytes, std::size_t count) {
  std::uint64_t value = 0xcbf29ce484222325U;  // FNV-1a
  for (std::size_t i = 0; i < count; ++i) value = (value ^ bytes[i]) * 0x100000001b3U;
  return value;
}

// A module that is loaded in this process.
struct Module {
  std::uint64_t id = 0;
  std::uintptr_t base = 0;
  std::uintptr_t begin = 0;  // of its memory
  std::uintptr_t end = 0;
  std::string name;
};

const unsigned char* at(const dl_phdr_info& info, const ElfW(Phdr) & segment) {
  return reinterpret_cast<const unsigned char*>(info.dlpi_addr + segment.p_vaddr);
}

std::optional<std::uint64_t> build_id(const dl_phdr_info& info) {
  for (int i = 0; i < info.dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = info.dlpi_phdr[i];
    if (segment.p_type != PT_NOTE) continue;
    const unsigned char* note = at(info, segment);
    const unsigned char* const end = note + segment.p_memsz;
    const auto padded = [](std::size_t size) { return (size + 3) & ~std::size_t{3}; };
    while (note + sizeof(ElfW(Nhdr)) <= end) {
      ElfW(Nhdr) header;
      std::memcpy(&header, note, sizeof(header));
      const unsigned char* const name = note + sizeof(header);
      const unsigned char* const content = name + padded(header.n_namesz);
      if (content + header.n_descsz > end) break;
      if (header.n_type == NT_GNU_BUILD_ID && header.n_namesz == 4 && std::memcmp(name, "GNU", 4) == 0)
        return hash(content, header.n_descsz);
      note = content + padded(header.n_descsz);
    }
  }
  return std::nullopt;
}

// Linked without a build-id: the code itself, which is the same wherever it is loaded.
std::uint64_t code_hash(const dl_phdr_info& info) {
  std::uint64_t id = 0;
  for (int i = 0; i < info.dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = info.dlpi_phdr[i];
    if (segment.p_type == PT_LOAD && (segment.p_flags & PF_X) != 0) id = id * 31 + hash(at(info, segment), segment.p_filesz);
  }
  return id;
}

Module describe(const dl_phdr_info& info) {
  Module module;
  module.base = info.dlpi_addr;
  module.name = info.dlpi_name != nullptr && *info.dlpi_name != '\0' ? info.dlpi_name : "the executable";
  module.begin = static_cast<std::uintptr_t>(-1);
  for (int i = 0; i < info.dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = info.dlpi_phdr[i];
    if (segment.p_type != PT_LOAD) continue;
    const std::uintptr_t begin = info.dlpi_addr + segment.p_vaddr;
    module.begin = begin < module.begin ? begin : module.begin;
    module.end = begin + segment.p_memsz > module.end ? begin + segment.p_memsz : module.end;
  }
  return module;
}

// The first loaded module for which `wanted(module)` holds. Calls it with the id filled in only if `by_id`.
template <class Wanted>
std::optional<Module> find_module(bool by_id, Wanted wanted) {
  struct Search {
    bool by_id;
    Wanted& wanted;
    std::optional<Module> found;
  } search{by_id, wanted, std::nullopt};
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* data) {
        auto& s = *static_cast<Search*>(data);
        Module module = describe(*info);
        const auto identify = [&] {
          const auto id = build_id(*info);
          module.id = id ? *id : code_hash(*info);
        };
        if (s.by_id) identify();
        if (!s.wanted(module)) return 0;
        if (!s.by_id) identify();
        s.found = std::move(module);
        return 1;
      },
      &search);
  return std::move(search.found);
}

// A few recent answers per thread: a program ships few functions, many times. Modules are never unloaded under a task.
template <class Key, class Value>
class Recent {
 public:
  Value* find(const Key& key, std::size_t spread) {
    Entry& entry = entries_[spread % entries_.size()];
    return entry.used && entry.key == key ? &entry.value : nullptr;
  }
  Value& put(const Key& key, std::size_t spread, Value value) {
    Entry& entry = entries_[spread % entries_.size()];
    entry = {true, key, value};
    return entry.value;
  }

 private:
  struct Entry {
    bool used = false;
    Key key{};
    Value value{};
  };
  std::array<Entry, 61> entries_{};
};

}  // namespace

CodeAddress code_address(const void* address) {
  thread_local Recent<const void*, CodeAddress> recent;
  const auto place = reinterpret_cast<std::uintptr_t>(address);
  if (const CodeAddress* known = recent.find(address, place / 8)) return *known;
  const auto module = find_module(false, [place](const Module& m) { return place >= m.begin && place < m.end; });
  if (!module) throw UsageError("a function to ship lies in no loaded module: code that was made at run time cannot be sent to engines");
  return recent.put(address, place / 8, {module->id, place - module->base});
}

const void* local_address(const CodeAddress& address) {
  thread_local Recent<CodeAddress, const void*> recent;
  if (const void** known = recent.find(address, address.offset / 8)) return *known;
  const auto module = find_module(true, [&address](const Module& m) { return m.id == address.module; });
  if (!module)
    throw DecodeError("code to run lies in a shared library that is not loaded here; load it on every rank before its functions are used");
  const std::uintptr_t place = module->base + address.offset;
  if (place < module->begin || place >= module->end)
    throw DecodeError("code to run lies " + std::to_string(address.offset) + " bytes into " + module->name +
                      ", which is smaller than that");
  return recent.put(address, address.offset / 8, reinterpret_cast<const void*>(place));
}

std::uint64_t executable_id() {
  // The executable comes first.
  return find_module(true, [](const Module&) { return true; })->id;
}

}  // namespace rankview::detail
