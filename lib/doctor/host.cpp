// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "doctor/host.hpp"

#include "launch/in_path.hpp"

#include <mpi.h>
#if __has_include(<mpi-ext.h>)
#include <mpi-ext.h>
#endif

#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

namespace rankview::doctor {
namespace {

constexpr std::pair<std::uint32_t, const char*> file_systems[] = {{0x6969, "nfs"},      {0x01021994, "tmpfs"},  {0x0BD00BD0, "lustre"},
                                                                  {0x47504653, "gpfs"}, {0x19830326, "beegfs"}, {0x794c7630, "overlay"}};

int resource_of(Host::Limit limit) {
  switch (limit) {
    case Host::Limit::descriptors:
      return RLIMIT_NOFILE;
    case Host::Limit::locked_memory:
      return RLIMIT_MEMLOCK;
    case Host::Limit::processes:
      return RLIMIT_NPROC;
    case Host::Limit::core_files:
      return RLIMIT_CORE;
  }
  return RLIMIT_NOFILE;
}

class ThisHost final : public Host {
 public:
  [[nodiscard]] std::string name() const override {
    std::array<char, 256> name{};
    ::gethostname(name.data(), name.size() - 1);
    return name.data();
  }
  [[nodiscard]] std::optional<std::string> file(const std::string& path) const override {
    const std::ifstream file(path);
    if (!file) return std::nullopt;
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }
  [[nodiscard]] std::vector<std::string> directory(const std::string& path) const override {
    std::vector<std::string> names;
    std::error_code none;
    for (std::filesystem::directory_iterator at(path, none), end; !none && at != end; at.increment(none))
      names.push_back(at->path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
  }
  [[nodiscard]] std::optional<Space> space(const std::string& path) const override {
    struct statfs found {};
    if (::statfs(path.c_str(), &found) != 0) return std::nullopt;
    const auto block = static_cast<std::uint64_t>(found.f_bsize);
    Space space{found.f_blocks * block, found.f_bavail * block, ""};
    for (const auto& [magic, kind] : file_systems) {
      if (static_cast<std::uint32_t>(found.f_type) == magic) space.kind = kind;
    }
    return space;
  }
  [[nodiscard]] bool writable(const std::string& path) const override { return ::access(path.c_str(), W_OK | X_OK) == 0; }
  [[nodiscard]] std::optional<std::string> variable(const std::string& name) const override {
    const char* const value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  }
  [[nodiscard]] std::string program(const std::string& name) const override { return launch::found_in_path(name); }
  [[nodiscard]] std::string output(const std::vector<std::string>& command) const override {
    std::string line;
    for (const std::string& word : command) line += (line.empty() ? "" : " ") + word;
    FILE* const pipe = ::popen((line + " 2>/dev/null </dev/null").c_str(), "r");
    if (pipe == nullptr) return "";
    std::string text;
    std::array<char, 1024> part{};
    for (std::size_t got = 0; (got = std::fread(part.data(), 1, part.size(), pipe)) != 0;) text.append(part.data(), got);
    ::pclose(pipe);
    return text;
  }
  [[nodiscard]] std::uint64_t limit(Limit limit) const override {
    rlimit found{};
    ::getrlimit(static_cast<__rlimit_resource_t>(resource_of(limit)), &found);
    return found.rlim_cur == RLIM_INFINITY ? unlimited : found.rlim_cur;
  }
  [[nodiscard]] unsigned cores() const override { return static_cast<unsigned>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN))); }
  [[nodiscard]] unsigned own_cores() const override {
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    if (::sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return cores();
    return static_cast<unsigned>(std::max(1, CPU_COUNT(&allowed)));
  }
  [[nodiscard]] bool root() const override { return ::geteuid() == 0; }
  // Of a child, which is the parent's to read only where that is allowed at all; so the child reads.
  [[nodiscard]] bool reads_others() const override {
    long own = 42;
    const pid_t parent = ::getpid();
    // As Open MPI asks for it.
    ::prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
    const pid_t child = ::fork();
    if (child < 0) return false;
    if (child == 0) {
      long read = 0;
      const iovec here{&read, sizeof(read)};
      const iovec there{&own, sizeof(own)};
      ::_exit(::process_vm_readv(parent, &here, 1, &there, 1, 0) == static_cast<ssize_t>(sizeof(read)) && read == 42 ? 0 : 1);
    }
    int status = 1;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
    return status == 0;
  }
  [[nodiscard]] std::string mpi_version() const override {
    std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
    int length = 0;
    ::MPI_Get_library_version(text.data(), &length);
    const std::string all(text.data(), static_cast<std::size_t>(length));
    return all.substr(0, all.find(','));
  }
  [[nodiscard]] bool mpi_survives() const override {
#ifdef OMPI_HAVE_MPI_EXT_FTMPI
    return true;
#else
    return false;
#endif
  }
};

}  // namespace

const Host& this_host() {
  static const ThisHost host;
  return host;
}

}  // namespace rankview::doctor
