// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "execute/loaded_code.hpp"

#include "engine/type_name.hpp"
#include "isolation/fd.hpp"

#include <rankview/errors.hpp>

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string_view>
#include <system_error>
#include <utility>

namespace rankview::execute {
namespace {

using Key = std::array<std::uint64_t, 2>;

// What is open. Never destroyed.
struct Opened {
  std::mutex mutex;
  std::map<Key, Entry> entries;
};
Opened& opened() {
  static Opened& all = *std::make_unique<Opened>().release();
  return all;
}

bool write_all(int file, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(file, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

// A path to an open file by which the loader has not come to any other: it knows what it has loaded by its path, and numbers of files are
// used again.
std::string fresh_path(int file, std::size_t number) {
  std::string path = "/proc/self/fd";
  for (; number != 0; number /= 2) path += number % 2 == 0 ? "/." : "//.";
  return path + "/" + std::to_string(file);
}

// What the loader says, with the name of what it misses as it is in C++.
std::string loader_error() {
  const char* const said = ::dlerror();
  std::string text = said == nullptr ? "it does not say why" : said;
  constexpr std::string_view before = "undefined symbol: ";
  if (const std::size_t at = text.find(before); at != std::string::npos) {
    const std::string symbol = text.substr(at + before.size());
    return "it wants " + engine::type_name(symbol.substr(0, symbol.find_first_of(" ,")).c_str()) +
           ", which neither it nor the program has (of a program, code sees what it exports: link it with -rdynamic)";
  }
  return text;
}

Entry entry_of(void* library) {
  void* const entry = library == nullptr ? nullptr : ::dlsym(library, entry_name);
  if (entry == nullptr) throw UsageError("the code cannot be loaded: " + loader_error());
  return reinterpret_cast<Entry>(entry);
}

// Where memory must not be run: by a file that is gone at once.
Entry open_as_file(const std::string& bytes) {
  const char* const wanted = std::getenv("TMPDIR");
  std::string path = std::string(wanted == nullptr || *wanted == '\0' ? "/tmp" : wanted) + "/rankview.XXXXXX";
  const isolation::Fd file(::mkostemp(path.data(), O_CLOEXEC));
  if (!file || !write_all(file.get(), bytes)) throw UsageError("the code cannot be loaded: there is no place for it");
  void* const library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  ::unlink(path.c_str());
  return entry_of(library);
}

Entry open_library(const std::string& bytes, std::size_t number) {
  const isolation::Fd file(::memfd_create("rankview", MFD_CLOEXEC));
  if (!file || !write_all(file.get(), bytes)) return open_as_file(bytes);
  void* const library = ::dlopen(fresh_path(file.get(), number).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr && ::access("/proc/self/fd", X_OK) != 0) return open_as_file(bytes);
  return entry_of(library);
}

thread_local std::string place_of_failure;

}  // namespace

Entry loaded_code(const detail::CompiledCode& code) {
  Opened& all = opened();
  const std::lock_guard guard(all.mutex);
  const Key key{code.key[0], code.key[1]};
  if (const auto known = all.entries.find(key); known != all.entries.end()) return known->second;
  if (code.bytes.empty()) throw UsageError("the code to run is not on this engine, and did not come with the task");
  const Entry entry = open_library(code.bytes, all.entries.size() + 1);
  all.entries.emplace(key, entry);
  return entry;
}

std::string take_place_of_failure() { return std::exchange(place_of_failure, {}); }

// What engines have for a snippet that runs.
namespace {

struct Running final : Context {
  Variables& variables;
  std::vector<std::shared_ptr<void>> replaced;  // the snippet may refer to them
};

Variables& variables_of(Context& context) { return static_cast<Running&>(context).variables; }

void* find_variable(Context& context, const char* name, const std::type_info& type) {
  const Variables::Variable& variable = variables_of(context).raw(name);
  if (*variable.type->type == type) return variable.value.get();
  throw TypeError("variable \"" + std::string(name) + "\" is a " + engine::type_name(*variable.type->type) + ", not a " +
                  engine::type_name(type) + ", as the code was compiled for");
}

void* look_for_variable(Context& context, const char* name, const std::type_info& type) {
  if (!variables_of(context).contains(name)) return nullptr;
  const Variables::Variable& variable = variables_of(context).raw(name);
  return *variable.type->type == type ? variable.value.get() : nullptr;
}

template <class... T>
const detail::VariableType* one_of(const std::type_info& type) {
  const detail::VariableType* found = nullptr;
  static_cast<void>(((*detail::variable_type<T>.type == type && (found = &detail::variable_type<T>) != nullptr) || ...));
  return found;
}

template <class... T>
const detail::VariableType* one_of_these_or_vectors(const std::type_info& type) {
  const detail::VariableType* const found = one_of<T...>(type);
  return found != nullptr ? found : one_of<std::vector<T>...>(type);
}

// Of a variable that code makes: as the program would have it, where it is known how.
const detail::VariableType& type_of_variable(const Variables& variables, const std::type_info& type, std::size_t (*bytes)(const void*)) {
  if (const auto* known = one_of_these_or_vectors<bool, char, int, unsigned, long, unsigned long, float, double, std::string>(type))
    return *known;
  for (const std::string& name : variables.names()) {
    const detail::VariableType* const other = variables.raw(name).type;
    if (*other->type == type) return *other;
  }
  static std::mutex mutex;
  static auto& all = *std::make_unique<std::map<std::string, detail::VariableType>>().release();
  const std::lock_guard guard(mutex);
  return all.try_emplace(type.name(), detail::VariableType{&type, bytes, nullptr, nullptr}).first->second;
}

void put_variable(Context& context, const char* name, const std::type_info& type, std::size_t (*bytes)(const void*),
                  std::shared_ptr<void> value) {
  auto& running = static_cast<Running&>(context);
  if (running.variables.contains(name)) running.replaced.push_back(running.variables.raw(name).value);
  running.variables.put(name, type_of_variable(running.variables, type, bytes), std::move(value));
}

void fail_snippet(Context& context, bool wrong_size) {
  if (wrong_size)
    throw TypeError("the value is of " + std::to_string(context.result_size) +
                    " bytes in the program, and not in the code: they are compiled with different flags or headers");
  context.line = 0;
  throw UsageError("the code has come to its end without a value: let it end with an expression, or return one");
}

}  // namespace
}  // namespace rankview::execute

namespace rankview::inline abi_0_1::detail {

void run_code(const CompiledCode& code, void* result, std::size_t size) {
  namespace execute = rankview::execute;
  const execute::Entry entry = execute::loaded_code(code);
  execute::Running running{{&execute::find_variable, &execute::look_for_variable, &execute::put_variable, &execute::fail_snippet,
                            &code.arguments, size, this_engine::id(), this_engine::size(), 0, ""},
                           this_engine::vars(),
                           {}};
  try {
    entry(running, result);
  } catch (...) {
    if (running.line > 0) execute::place_of_failure = " (" + std::string(running.file) + ", line " + std::to_string(running.line) + ")";
    throw;
  }
}

std::vector<NamedType> types_of(const Variables& variables, const std::vector<std::string>& names) {
  std::vector<NamedType> types;
  for (const std::string& name : names) {
    if (variables.contains(name)) types.push_back({name, engine::type_name(*variables.raw(name).type->type)});
  }
  return types;
}

}  // namespace rankview::detail
