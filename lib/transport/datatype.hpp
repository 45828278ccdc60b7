// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/collective.hpp>

#include <mpi.h>
#include <cstdint>

namespace rankview::transport {

// MPI counts in int.
inline constexpr std::uint64_t most_at_once = 0x7fffffff;

// A committed MPI datatype of its own.
class Datatype {
 public:
  // One element, as bytes.
  static Datatype element(std::uint64_t bytes);
  // Any number of elements, each `stride` bytes behind the one before.
  static Datatype elements(std::uint64_t count, std::uint64_t bytes, std::uint64_t stride);

  Datatype(Datatype&& other) noexcept;
  Datatype& operator=(Datatype&& other) noexcept;
  ~Datatype();

  [[nodiscard]] MPI_Datatype get() const { return type_; }

 private:
  explicit Datatype(MPI_Datatype type) : type_(type) {}

  MPI_Datatype type_;
};

MPI_Datatype mpi_type(detail::Element element);
MPI_Op mpi_operation(detail::Operation operation);

}  // namespace rankview::transport
