// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace rankview::doctor {

// What can be asked of a host. Interface, since tests have hosts of their own.
class Host {
 public:
  // Of a file system.
  struct Space {
    std::uint64_t size = 0;  // bytes
    std::uint64_t free = 0;  // bytes that this user may have
    std::string kind;        // as far as it is known: nfs, tmpfs
  };
  enum class Limit { descriptors, locked_memory, processes, core_files };
  static constexpr std::uint64_t unlimited = ~std::uint64_t{0};

  Host() = default;
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;
  virtual ~Host() = default;

  [[nodiscard]] virtual std::string name() const = 0;
  // What the file has, if it can be read.
  [[nodiscard]] virtual std::optional<std::string> file(const std::string& path) const = 0;
  // The names in a directory; none if it cannot be read.
  [[nodiscard]] virtual std::vector<std::string> directory(const std::string& path) const = 0;
  [[nodiscard]] virtual std::optional<Space> space(const std::string& path) const = 0;
  [[nodiscard]] virtual bool writable(const std::string& path) const = 0;
  [[nodiscard]] virtual std::optional<std::string> variable(const std::string& name) const = 0;
  // Where a program is that $PATH leads to; empty if there is none.
  [[nodiscard]] virtual std::string program(const std::string& name) const = 0;
  // What a command prints, stderr left out; empty if it cannot be started.
  [[nodiscard]] virtual std::string output(const std::vector<std::string>& command) const = 0;
  [[nodiscard]] virtual std::uint64_t limit(Limit limit) const = 0;
  [[nodiscard]] virtual unsigned cores() const = 0;      // that there are
  [[nodiscard]] virtual unsigned own_cores() const = 0;  // that this process may use
  [[nodiscard]] virtual bool root() const = 0;
  // Whether one process may read the memory of another of the same user, as MPI does on one host.
  [[nodiscard]] virtual bool reads_others() const = 0;
  // What MPI says of itself.
  [[nodiscard]] virtual std::string mpi_version() const = 0;
  // Whether it can go on without ranks that have died (ULFM).
  [[nodiscard]] virtual bool mpi_survives() const = 0;
};

const Host& this_host();

}  // namespace rankview::doctor
