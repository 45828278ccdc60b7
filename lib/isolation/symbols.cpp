// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "isolation/symbols.hpp"

#include "isolation/fd.hpp"
#include "isolation/process_end.hpp"
#include "isolation/trace.hpp"
#include "wire/modules.hpp"

#include <cxxabi.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <sstream>
#include <string_view>
#include <system_error>
#include <utility>

namespace rankview::isolation {
namespace {

using Lines = std::vector<std::string>;
using Deadline = std::chrono::steady_clock::time_point;

std::string demangled(const std::string& name) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> text(abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status), std::free);
  return status == 0 ? text.get() : name;
}

std::string in_hex(std::uint64_t number) {
  std::array<char, 24> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number, 16).ptr;
  return "0x" + std::string(digits.data(), end);
}

// What is said of symbols in a file of code. Nothing is believed of what stands in it.
class CodeFile {
 public:
  explicit CodeFile(const std::string& path) : in_(path, std::ios::binary) {
    in_.seekg(0, std::ios::end);
    const auto size = in_.tellg();
    size_ = size < 0 ? 0 : static_cast<std::uint64_t>(size);
    const auto head = read<ElfW(Ehdr)>(0, 1);
    if (head.empty() || std::memcmp(head[0].e_ident, ELFMAG, SELFMAG) != 0 || head[0].e_ident[EI_CLASS] != native_class) return;
    if (head[0].e_phentsize == sizeof(ElfW(Phdr))) segments_ = read<ElfW(Phdr)>(head[0].e_phoff, head[0].e_phnum);
    if (head[0].e_shentsize == sizeof(ElfW(Shdr))) sections_ = read<ElfW(Shdr)>(head[0].e_shoff, head[0].e_shnum);
    if (head[0].e_shstrndx < sections_.size()) section_names_ = content<char>(sections_[head[0].e_shstrndx]);
  }

  // The address that the byte has, as symbols and debug information count.
  [[nodiscard]] std::optional<std::uint64_t> address_of(std::uint64_t byte) const {
    for (const auto& segment : segments_) {
      if (segment.p_type == PT_LOAD && byte >= segment.p_offset && byte - segment.p_offset < segment.p_filesz)
        return byte - segment.p_offset + segment.p_vaddr;
    }
    return std::nullopt;
  }

  [[nodiscard]] bool has_lines() const {
    return std::any_of(sections_.begin(), sections_.end(), [this](const auto& section) {
      const std::string name = text(section_names_, section.sh_name);
      return name == ".debug_line" || name == ".zdebug_line";
    });
  }

  // The function that the address is in, by its name in the program's text.
  std::string function_at(std::uint64_t address) {
    // What is known of all functions, if it has not been stripped; else what others may use.
    for (const auto type : {SHT_SYMTAB, SHT_DYNSYM}) {
      for (const auto& section : sections_) {
        if (section.sh_type != static_cast<ElfW(Word)>(type) || section.sh_link >= sections_.size()) continue;
        const auto symbols = content<ElfW(Sym)>(section);
        const auto found = std::find_if(symbols.begin(), symbols.end(), [address](const auto& symbol) {
          return (symbol.st_info & 0xf) == STT_FUNC && symbol.st_shndx != SHN_UNDEF && address >= symbol.st_value &&
                 address - symbol.st_value < symbol.st_size;
        });
        if (found == symbols.end()) continue;
        const std::string name = text(content<char>(sections_[section.sh_link]), found->st_name);
        if (!name.empty()) return demangled(name);
      }
    }
    return "";
  }

  // The name of the function or constant that begins at the address, as the linker has it. Nothing if another has the same.
  std::string name_at(std::uint64_t address) {
    for (const auto type : {SHT_SYMTAB, SHT_DYNSYM}) {
      for (const auto& section : sections_) {
        if (section.sh_type != static_cast<ElfW(Word)>(type) || section.sh_link >= sections_.size()) continue;
        const auto symbols = content<ElfW(Sym)>(section);
        const auto names = content<char>(sections_[section.sh_link]);
        // Of several that mean the same place always the same one.
        std::string first;
        for (const auto& symbol : symbols) {
          if (!is_there(symbol) || symbol.st_value != address) continue;
          const std::string name = text(names, symbol.st_name);
          if (!name.empty() && (first.empty() || name < first)) first = name;
        }
        if (first.empty()) continue;
        const bool alone = std::none_of(symbols.begin(), symbols.end(), [&](const auto& symbol) {
          return is_there(symbol) && symbol.st_value != address && text(names, symbol.st_name) == first;
        });
        return alone ? first : "";
      }
    }
    return "";
  }

  // The address of what has that name. Nothing if several have.
  std::optional<std::uint64_t> address_named(const std::string& name) {
    for (const auto type : {SHT_SYMTAB, SHT_DYNSYM}) {
      std::optional<std::uint64_t> found;
      for (const auto& section : sections_) {
        if (section.sh_type != static_cast<ElfW(Word)>(type) || section.sh_link >= sections_.size()) continue;
        const auto names = content<char>(sections_[section.sh_link]);
        for (const auto& symbol : content<ElfW(Sym)>(section)) {
          if (!is_there(symbol) || text(names, symbol.st_name) != name) continue;
          if (found && *found != symbol.st_value) return std::nullopt;
          found = symbol.st_value;
        }
      }
      if (found) return found;
    }
    return std::nullopt;
  }

 private:
  // A function or constant of this file.
  static bool is_there(const ElfW(Sym) & symbol) {
    const int type = symbol.st_info & 0xf;
    return (type == STT_FUNC || type == STT_OBJECT) && symbol.st_shndx != SHN_UNDEF;
  }

  static constexpr unsigned char native_class = sizeof(void*) == 8 ? ELFCLASS64 : ELFCLASS32;

  // None if not all of them are there.
  template <class T>
  std::vector<T> read(std::uint64_t from, std::uint64_t count) {
    if (from > size_ || count > (size_ - from) / sizeof(T)) return {};
    std::vector<T> all(count);
    in_.clear();
    in_.seekg(static_cast<std::streamoff>(from));
    in_.read(reinterpret_cast<char*>(all.data()), static_cast<std::streamsize>(count * sizeof(T)));
    if (!in_) all.clear();
    return all;
  }

  template <class T>
  std::vector<T> content(const ElfW(Shdr) & section) {
    return section.sh_type == SHT_NOBITS ? std::vector<T>() : read<T>(section.sh_offset, section.sh_size / sizeof(T));
  }

  static std::string text(const std::vector<char>& table, std::uint64_t from) {
    if (from >= table.size()) return "";
    const auto begin = table.begin() + static_cast<std::ptrdiff_t>(from);
    return {begin, std::find(begin, table.end(), '\0')};
  }

  std::ifstream in_;
  std::uint64_t size_ = 0;
  std::vector<ElfW(Phdr)> segments_;
  std::vector<ElfW(Shdr)> sections_;
  std::vector<char> section_names_;
};

// ---- addr2line ---------------------------------------------------------------------------------------------------------------

// What is to be told of its environment: it should neither ask a server for debug information nor load what is preloaded here.
std::vector<char*> environment_of_tool() {
  std::vector<char*> kept;
  for (char** each = environ; each != nullptr && *each != nullptr; ++each) {
    const std::string_view text(*each);
    if (!text.starts_with("DEBUGINFOD_URLS=") && !text.starts_with("LD_PRELOAD=")) kept.push_back(*each);
  }
  kept.push_back(nullptr);
  return kept;
}

// Starts it, if it is installed, with its output going there. 0 if not.
pid_t start_tool(std::vector<std::string>& words, int output) {
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  std::vector<char*> environment = environment_of_tool();
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t pid = 0;
  const int error = ::posix_spawnp(&pid, arguments[0], &actions, nullptr, arguments.data(), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  return error == 0 ? pid : 0;
}

// All that comes, nothing if it does not end in time.
std::optional<std::string> read_until(int from, Deadline deadline) {
  std::string all;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
    if (left <= 0) return std::nullopt;
    pollfd input{from, POLLIN, 0};
    if (::poll(&input, 1, static_cast<int>(left)) <= 0) continue;
    std::array<char, 4096> part{};
    const ssize_t got = ::read(from, part.data(), part.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return all;
    all.append(part.data(), static_cast<std::size_t>(got));
  }
}

// For each address the pairs of lines that it has said of it: a function, and a file with a line.
std::map<std::uint64_t, Lines> by_address(const std::string& output) {
  std::map<std::uint64_t, Lines> all;
  Lines* current = nullptr;
  std::istringstream in(output);
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("0x")) {
      std::uint64_t address = 0;
      std::from_chars(line.data() + 2, line.data() + line.size(), address, 16);
      current = &all[address];
    } else if (current != nullptr) {
      current->push_back(line);
    }
  }
  return all;
}

// Lines for what has been said of an address; none where no file is known.
Lines told_of(const Lines& pairs) {
  Lines lines;
  for (std::size_t i = 0; i + 1 < pairs.size(); i += 2) {
    // It may go on with which of several pieces of the line that is.
    const std::string file = pairs[i + 1].substr(0, pairs[i + 1].find(" (discriminator"));
    if (file.starts_with("??") || file.ends_with(":?") || file.ends_with(":0") || pairs[i].starts_with("??")) return {};
    lines.push_back(pairs[i] + " (" + std::filesystem::path(file).lexically_normal().string() + ")");
  }
  return lines;
}

// False if it did not answer in time.
bool ask_for_lines(const std::string& path, const std::vector<std::uint64_t>& addresses, Deadline deadline,
                   std::map<std::uint64_t, Lines>& lines) {
  std::vector<std::string> words{"addr2line", "-a", "-f", "-C", "-i", "-e", path};
  for (const std::uint64_t address : addresses) words.push_back(in_hex(address));
  auto [from, to] = pipe_pair();
  const pid_t tool = start_tool(words, to.get());
  if (tool == 0) return true;
  to.reset();
  const auto output = read_until(from.get(), deadline);
  // The program may have waited for all of its children.
  if (!output && is_child(tool)) ::kill(tool, SIGKILL);
  while (::waitpid(tool, nullptr, 0) < 0 && errno == EINTR) continue;
  if (output) {
    for (const auto& [address, pairs] : by_address(*output)) lines[address] = told_of(pairs);
  }
  return output.has_value();
}

// ---- all together ------------------------------------------------------------------------------------------------------------

// What was found, and files that took too long.
struct Remembered {
  static constexpr std::size_t most = 4096;

  std::mutex mutex;
  std::map<Place, Lines> lines;
  std::set<std::string> slow;
};

// Never destroyed: threads may ask until the process ends.
Remembered& remembered = *std::make_unique<Remembered>().release();

// Of one file.
std::map<std::uint64_t, Lines> describe_bytes(const std::string& path, const std::set<std::uint64_t>& bytes, Deadline deadline) {
  CodeFile file(path);
  std::map<std::uint64_t, std::uint64_t> addresses;
  for (const std::uint64_t byte : bytes) addresses[byte] = file.address_of(byte).value_or(byte);
  std::map<std::uint64_t, Lines> lines;
  bool slow = false;
  {
    const std::lock_guard guard(remembered.mutex);
    slow = remembered.slow.contains(path);
  }
  if (!slow && file.has_lines()) {
    std::vector<std::uint64_t> wanted;
    for (const auto& [byte, address] : addresses) wanted.push_back(address);
    if (!ask_for_lines(path, wanted, deadline, lines)) {
      const std::lock_guard guard(remembered.mutex);
      remembered.slow.insert(path);
    }
  }
  std::map<std::uint64_t, Lines> all;
  for (const auto& [byte, address] : addresses) {
    Lines& known = all[byte];
    if (const auto told = lines.find(address); told != lines.end()) known = told->second;
    if (!known.empty()) continue;
    const std::string function = file.function_at(address);
    known.push_back((function.empty() ? "" : function + " ") + "(" + path + "+" + in_hex(address) + ")");
  }
  return all;
}

// Names of functions, until modules are loaded or unloaded.
struct KnownNames {
  std::mutex mutex;
  std::uint64_t changes = 0;
  std::map<const void*, std::string> names;
};

KnownNames& known_names = *std::make_unique<KnownNames>().release();

}  // namespace

std::string linker_name(const void* code) {
  const std::uint64_t changes = wire::module_changes();
  const std::lock_guard guard(known_names.mutex);
  if (std::exchange(known_names.changes, changes) != changes) known_names.names.clear();
  const auto [known, first] = known_names.names.try_emplace(code);
  if (!first) return known->second;
  Trace trace;
  void* const address = const_cast<void*>(code);
  locate({&address, 1}, trace);
  if (trace.count == 1 && !trace.path_of(trace.calls[0]).empty()) {
    CodeFile file(std::string(trace.path_of(trace.calls[0])));
    if (const auto place = file.address_of(trace.calls[0].byte)) known->second = file.name_at(*place);
  }
  return known->second;
}

const void* place_named(const std::string& name) {
  std::vector<std::pair<std::string, std::uintptr_t>> files;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* data) {
        // The executable comes first.
        auto& all = *static_cast<std::vector<std::pair<std::string, std::uintptr_t>>*>(data);
        const std::string path = info->dlpi_name != nullptr && *info->dlpi_name != '\0' ? info->dlpi_name : "/proc/self/exe";
        if (all.empty() || path != "/proc/self/exe") all.emplace_back(path, info->dlpi_addr);
        return 0;
      },
      &files);
  for (const auto& [path, base] : files) {
    if (const auto address = CodeFile(path).address_named(name)) return reinterpret_cast<const void*>(base + *address);
  }
  return nullptr;
}

std::vector<std::vector<std::string>> describe_places(std::span<const Place> places, std::chrono::milliseconds limit) {
  const Deadline deadline = std::chrono::steady_clock::now() + limit;
  std::map<std::string, std::set<std::uint64_t>> unknown;
  std::map<Place, Lines> known;
  {
    const std::lock_guard guard(remembered.mutex);
    for (const Place& place : places) {
      const auto found = remembered.lines.find(place);
      if (found != remembered.lines.end()) {
        known.insert(*found);
      } else {
        unknown[place.path].insert(place.byte);
      }
    }
  }
  for (const auto& [path, bytes] : unknown) {
    for (auto& [byte, lines] : describe_bytes(path, bytes, deadline)) known[{path, byte}] = std::move(lines);
  }
  std::vector<Lines> all;
  all.reserve(places.size());
  for (const Place& place : places) all.push_back(known[place]);
  const std::lock_guard guard(remembered.mutex);
  if (remembered.lines.size() > Remembered::most) remembered.lines.clear();
  remembered.lines.merge(known);
  return all;
}

}  // namespace rankview::isolation
