// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "execute/compiler.hpp"
#include "execute/compiler_run.hpp"
#include "launch/in_path.hpp"

#include <rankview/errors.hpp>

#include <sys/stat.h>
#include <unistd.h>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace rankview::execute {
namespace {

namespace fs = std::filesystem;

std::string environment(const char* name) {
  const char* const text = std::getenv(name);
  return text == nullptr ? "" : text;
}

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(std::move(word));
  return words;
}

// Of the family that this was compiled by first, since what they make of the standard library's types must be the same.
std::vector<std::string> candidates() {
  std::vector<std::string> all;
#ifdef RANKVIEW_CXX_COMPILER
  all.emplace_back(RANKVIEW_CXX_COMPILER);
#endif
#ifdef __clang__
  all.insert(all.end(), {"clang++-" + std::to_string(__clang_major__), "clang++", "c++", "g++"});
#else
  all.insert(all.end(), {"g++-" + std::to_string(__GNUC__), "g++", "c++", "clang++"});
#endif
  return all;
}

std::vector<std::string> find_compiler() {
  if (const std::string wanted = environment("RANKVIEW_CXX"); !wanted.empty()) {
    std::vector<std::string> words = words_of(wanted);
    if (!words.empty()) words.front() = launch::found_in_path(words.front());
    if (words.empty() || words.front().empty())
      throw CompileError("RANKVIEW_CXX should name a C++ compiler on rank 0's host, and is \"" + wanted + "\", which is no program there");
    return words;
  }
  for (const std::string& candidate : candidates()) {
    if (std::string path = launch::found_in_path(candidate); !path.empty()) return {std::move(path)};
  }
  throw CompileError(
      "there is no C++ compiler on rank 0's host, which execute() and run() need: install g++ or clang++, or name one in RANKVIEW_CXX");
}

// A directory of its own that can be written to, removed at the end.
class Scratch {
 public:
  Scratch() {
    for (const std::string& parent : {environment("TMPDIR"), std::string("/tmp"), std::string("/dev/shm"), std::string(".")}) {
      if (parent.empty()) continue;
      std::string path = parent + "/rankview.XXXXXX";
      if (::mkdtemp(path.data()) == nullptr) continue;
      path_ = path;
      // A file system may be full and have room for a directory.
      std::ofstream probe(path_ + "/probe");
      probe << std::string(std::size_t{1} << 18, ' ') << std::flush;
      if (probe) return;
      remove();
    }
    throw CompileError(
        "there is no directory to compile in: TMPDIR, /tmp, /dev/shm and the working directory cannot be written to, or are full");
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() { remove(); }

  [[nodiscard]] std::string file(const std::string& name) const { return path_ + "/" + name; }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  void remove() const {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }

  std::string path_;
};

// Where headers that were compiled beforehand are kept from run to run, or nothing.
std::string kept_directory() {
  std::string parent = environment("XDG_CACHE_HOME");
  if (parent.empty() && !environment("HOME").empty()) parent = environment("HOME") + "/.cache";
  if (parent.empty()) return "";
  const std::string path = parent + "/rankview";
  std::error_code error;
  fs::create_directories(path, error);
  struct stat status {};
  const bool ours = ::stat(path.c_str(), &status) == 0 && status.st_uid == ::geteuid() && (status.st_mode & (S_IWGRP | S_IWOTH)) == 0;
  return ours && ::access(path.c_str(), W_OK) == 0 ? path : "";
}

// Names a text: FNV-1a, as hexadecimal digits.
std::string digest(const std::string& text) {
  std::uint64_t value = 0xcbf29ce484222325U;
  for (const char c : text) value = (value ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  std::ostringstream out;
  out << std::hex << value;
  return out.str();
}

bool write_file(const std::string& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary);
  out << text << std::flush;
  return static_cast<bool>(out);
}

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

class InstalledCompiler final : public Compiler {
 public:
  Result compile(const std::string& prelude, const std::string& program) override {
    begin();
    if (prelude_.empty()) prepare(prelude);
    const std::string source = scratch_->file("code.cpp");
    const std::string library = scratch_->file("code.so");
    if (!write_file(source, program)) throw CompileError("there is no room for the code in " + scratch_->path());
    std::vector<std::string> words = command_;
    words.insert(words.end(), flags_.begin(), flags_.end());
    words.insert(words.end(), prelude_.begin(), prelude_.end());
    words.insert(words.end(), {"-shared", "-Wl,--build-id", "-Wl,-s", "-pipe", "-x", "c++", source, "-o", library});
    const CompilerRun ran = run_compiler(words, scratch_->path());
    Result result{"", ran.said};
    if (ran.well) result.library = read_file(library);
    ::unlink(source.c_str());
    ::unlink(library.c_str());
    return result;
  }

 private:
  void begin() {
    if (scratch_) return;
    command_ = find_compiler();
    scratch_.emplace();
    std::vector<std::string> words = command_;
    words.emplace_back("--version");
    version_ = run_compiler(words, scratch_->path()).said;
    clang_ = version_.find("clang") != std::string::npos;
    flags_ = {"-std=c++20",
              "-O2",
              "-fPIC",
              "-w",
              "-fvisibility=hidden",
              clang_ ? "-fno-color-diagnostics" : "-fdiagnostics-color=never",
              clang_ ? "-fno-caret-diagnostics" : "-fno-diagnostics-show-caret"};
    flags_.emplace_back(clang_ ? "-fbracket-depth=100000" : "-fno-gnu-unique");
#ifdef _GLIBCXX_USE_CXX11_ABI
    flags_.emplace_back(_GLIBCXX_USE_CXX11_ABI != 0 ? "-D_GLIBCXX_USE_CXX11_ABI=1" : "-D_GLIBCXX_USE_CXX11_ABI=0");
#endif
#ifdef _GLIBCXX_DEBUG
    flags_.emplace_back("-D_GLIBCXX_DEBUG");
#endif
#ifdef _LIBCPP_VERSION
    flags_.emplace_back("-stdlib=libc++");
#endif
    for (std::string& flag : words_of(environment("RANKVIEW_CXXFLAGS"))) flags_.push_back(std::move(flag));
  }

  // The header and what the compiler makes of it beforehand: from an earlier run, or made now and kept for others. Each file comes to its
  // place whole, so that jobs may do this at the same time.
  void prepare(const std::string& prelude) {
    std::string all = prelude + version_;
    for (const std::string& word : command_) all += "\n" + word;
    for (const std::string& flag : flags_) all += "\n" + flag;
    const std::string name = "prelude-" + digest(all) + ".hpp";
    std::string directory = kept_directory();
    if (directory.empty() || !place(directory, name, prelude)) {
      directory = scratch_->path();
      if (!place(directory, name, prelude)) throw CompileError("there is no room for the code in " + directory);
    }
    const std::string header = directory + "/" + name;
    const std::string made = header + (clang_ ? ".pch" : ".gch");
    const bool there = ::access(made.c_str(), R_OK) == 0 || make(header, made);
    if (clang_ && there) {
      prelude_ = {"-include-pch", made};
    } else {
      // GCC looks for the other file by itself.
      prelude_ = {"-include", header};
    }
  }

  static bool place(const std::string& directory, const std::string& name, const std::string& text) {
    const std::string path = directory + "/" + name;
    if (::access(path.c_str(), R_OK) == 0) return true;
    const std::string fresh = path + "." + std::to_string(::getpid());
    if (write_file(fresh, text) && ::rename(fresh.c_str(), path.c_str()) == 0) return true;
    ::unlink(fresh.c_str());
    return false;
  }

  bool make(const std::string& header, const std::string& made) {
    const std::string fresh = made + "." + std::to_string(::getpid());
    std::vector<std::string> words = command_;
    words.insert(words.end(), flags_.begin(), flags_.end());
    words.insert(words.end(), {"-x", "c++-header", header, "-o", fresh});
    if (run_compiler(words, scratch_->path()).well && ::rename(fresh.c_str(), made.c_str()) == 0) return true;
    ::unlink(fresh.c_str());
    return false;
  }

  std::vector<std::string> command_;
  std::vector<std::string> flags_;
  std::vector<std::string> prelude_;  // the flags for it
  std::string version_;
  bool clang_ = false;
  std::optional<Scratch> scratch_;
};

}  // namespace

std::unique_ptr<Compiler> installed_compiler() { return std::make_unique<InstalledCompiler>(); }

}  // namespace rankview::execute
