// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "wire/elf_notes.hpp"
#include "wire/modules.hpp"
#include "wire/shipped_code.hpp"

#include <rankview/errors.hpp>

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace rankview::inline abi_0_1::detail {
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
  const auto note = wire::find_note(info, "GNU", NT_GNU_BUILD_ID);
  if (!note) return std::nullopt;
  return hash(note->data(), note->size());
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

// Whether the address lies in the executable, which is never unloaded, or is null.
bool stays(const void* address) {
  // It comes first.
  static const Module executable = *find_module(false, [](const Module&) { return true; });
  const auto place = reinterpret_cast<std::uintptr_t>(address);
  return place == 0 || (place >= executable.begin && place < executable.end);
}

// How often a module was unloaded. Costs a lock of the loader's.
std::uint64_t unloads() {
  std::uint64_t count = 0;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* data) {
        *static_cast<std::uint64_t*>(data) = info->dlpi_subs;
        return 1;
      },
      &count);
  return count;
}

// What is so until a module is unloaded, or for good.
class Validity {
 public:
  Validity() = default;
  explicit Validity(bool for_good) : unloads_(for_good ? always : unloads()) {}
  explicit operator bool() const { return unloads_ == always || (unloads_ != never && unloads_ == unloads()); }

 private:
  static constexpr std::uint64_t always = static_cast<std::uint64_t>(-1);
  static constexpr std::uint64_t never = always - 1;

  std::uint64_t unloads_ = never;
};

// Modules that may be opened here when they are wanted. Never destroyed, like whatever may be asked at any time.
std::vector<wire::LoadedModule>& openable = *std::make_unique<std::vector<wire::LoadedModule>>().release();

// Opens the module, which is not loaded. Whether it is now.
bool open_module(std::uint64_t id) {
  const auto found = std::find_if(openable.begin(), openable.end(), [id](const wire::LoadedModule& module) { return module.id == id; });
  return found != openable.end() && dlopen(found->path.c_str(), RTLD_NOW | RTLD_LOCAL) != nullptr;
}

// A few recent answers per thread: a program ships few functions, many times. Those about a library go with the next one that is closed,
// since another may then lie in its place.
template <class Key, class Value>
class Recent {
 public:
  const Value* find(const Key& key, std::size_t spread) const {
    const Entry& entry = entries_[spread % entries_.size()];
    return entry.key == key && entry.valid ? &entry.value : nullptr;
  }
  // `valid`: from before the answer was found.
  const Value& put(const Key& key, std::size_t spread, Value value, const Validity& valid) {
    Entry& entry = entries_[spread % entries_.size()];
    entry = {key, value, valid};
    return entry.value;
  }

 private:
  struct Entry {
    Key key{};
    Value value{};
    Validity valid;
  };
  std::array<Entry, 61> entries_{};
};

}  // namespace

CodeAddress code_address(const void* address) {
  thread_local Recent<const void*, CodeAddress> recent;
  const auto place = reinterpret_cast<std::uintptr_t>(address);
  if (const CodeAddress* known = recent.find(address, place / 8)) return *known;
  const Validity valid(stays(address));
  const auto module = find_module(false, [place](const Module& m) { return place >= m.begin && place < m.end; });
  if (!module) throw UsageError("a function to ship lies in no loaded module: code that was made at run time cannot be sent to engines");
  return recent.put(address, place / 8, {module->id, place - module->base}, valid);
}

const void* local_address(const CodeAddress& address) {
  thread_local Recent<CodeAddress, const void*> recent;
  if (const void* const* known = recent.find(address, address.offset / 8)) return *known;
  const Validity until_unloaded(false);
  const auto wanted = [&address](const Module& m) { return m.id == address.module; };
  auto module = find_module(true, wanted);
  if (!module && open_module(address.module)) module = find_module(true, wanted);
  if (!module)
    throw DecodeError("code to run lies in a shared library that is not loaded here; load it on every rank before its functions are used");
  const std::uintptr_t place = module->base + address.offset;
  if (place < module->begin || place >= module->end)
    throw DecodeError("code to run lies " + std::to_string(address.offset) + " bytes into " + module->name +
                      ", which is smaller than that");
  const auto* const found = reinterpret_cast<const void*>(place);
  return recent.put(address, address.offset / 8, found, stays(found) ? Validity(true) : until_unloaded);
}

const ShippedCode& shipped_code(const void* thunk, const void* function, const void* predicate) {
  using Key = std::array<const void*, 3>;
  thread_local Recent<Key, const ShippedCode*> recent;
  const Key key{thunk, function, predicate};
  const std::size_t spread = (reinterpret_cast<std::uintptr_t>(thunk) * 31 + reinterpret_cast<std::uintptr_t>(function)) / 8;
  if (const ShippedCode* const* known = recent.find(key, spread)) return **known;
  const Validity valid(stays(thunk) && stays(function) && stays(predicate));
  const auto address_of = [](const void* code) { return code == nullptr ? CodeAddress() : code_address(code); };
  const ShippedCode& code = shipped_code({address_of(thunk), address_of(function), address_of(predicate)});
  recent.put(key, spread, &code, valid);
  return code;
}

const ShippedCode& shipped_code(const ShippedCode& code) {
  static std::mutex mutex;
  // Calls may go when everything static has gone.
  static auto& all = *std::make_unique<std::set<ShippedCode>>().release();
  const std::lock_guard guard(mutex);
  return *all.insert(code).first;
}

std::uint64_t executable_id() {
  // The executable comes first.
  return find_module(true, [](const Module&) { return true; })->id;
}

}  // namespace rankview::detail

namespace rankview::wire {

std::vector<LoadedModule> loaded_modules() {
  std::vector<LoadedModule> modules;
  detail::find_module(true, [&modules](const detail::Module& module) {
    modules.push_back({module.id, modules.empty() ? "" : module.name});
    return false;
  });
  return modules;
}

std::uint64_t module_changes() {
  std::uint64_t count = 0;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* data) {
        *static_cast<std::uint64_t*>(data) = info->dlpi_adds + info->dlpi_subs;
        return 1;
      },
      &count);
  return count;
}

void set_openable_modules(std::vector<LoadedModule> modules) { detail::openable = std::move(modules); }

}  // namespace rankview::wire
