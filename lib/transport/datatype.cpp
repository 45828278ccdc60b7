// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "transport/datatype.hpp"

#include "transport/mpi.hpp"

#include <array>
#include <utility>

namespace rankview::transport {
namespace {

// What MPI_Type_* makes and nobody sends.
class Uncommitted {
 public:
  Uncommitted() = default;
  Uncommitted(const Uncommitted&) = delete;
  Uncommitted& operator=(const Uncommitted&) = delete;
  ~Uncommitted() {
    if (type != MPI_DATATYPE_NULL) MPI_Type_free(&type);
  }
  MPI_Datatype type = MPI_DATATYPE_NULL;
};

MPI_Datatype committed(MPI_Datatype type) {
  check(MPI_Type_commit(&type), "MPI_Type_commit");
  return type;
}

MPI_Datatype bytes_of(std::uint64_t bytes) {
  if (bytes > most_at_once) throw UsageError("an element of " + std::to_string(bytes) + " bytes");
  MPI_Datatype type = MPI_DATATYPE_NULL;
  check(MPI_Type_contiguous(static_cast<int>(bytes), MPI_BYTE, &type), "MPI_Type_contiguous");
  return type;
}

// `count` times `of`, each `stride` bytes behind the one before; `dense`: as they lie.
void repeat(std::uint64_t count, std::uint64_t stride, bool dense, MPI_Datatype of, MPI_Datatype& made) {
  if (dense) {
    check(MPI_Type_contiguous(static_cast<int>(count), of, &made), "MPI_Type_contiguous");
  } else {
    check(MPI_Type_create_hvector(static_cast<int>(count), 1, static_cast<MPI_Aint>(stride), of, &made), "MPI_Type_create_hvector");
  }
}

}  // namespace

Datatype::Datatype(Datatype&& other) noexcept : type_(std::exchange(other.type_, MPI_DATATYPE_NULL)) {}

Datatype& Datatype::operator=(Datatype&& other) noexcept {
  std::swap(type_, other.type_);
  return *this;
}

Datatype::~Datatype() {
  if (type_ != MPI_DATATYPE_NULL) MPI_Type_free(&type_);
}

Datatype Datatype::element(std::uint64_t bytes) { return Datatype(committed(bytes_of(bytes))); }

Datatype Datatype::elements(std::uint64_t count, std::uint64_t bytes, std::uint64_t stride) {
  const bool dense = stride == bytes;
  Uncommitted element;
  element.type = bytes_of(bytes);
  MPI_Datatype made = MPI_DATATYPE_NULL;
  if (count <= most_at_once) {
    repeat(count, stride, dense, element.type, made);
    return Datatype(committed(made));
  }
  // Blocks of 2^30, and the rest.
  constexpr std::uint64_t block = std::uint64_t{1} << 30U;
  const std::uint64_t blocks = count / block;
  Uncommitted one;
  Uncommitted all;
  Uncommitted rest;
  repeat(block, stride, dense, element.type, one.type);
  repeat(blocks, block * stride, false, one.type, all.type);
  repeat(count % block, stride, dense, element.type, rest.type);
  const std::array<int, 2> counts = {1, 1};
  const std::array<MPI_Aint, 2> places = {0, static_cast<MPI_Aint>(blocks * block * stride)};
  const std::array<MPI_Datatype, 2> types = {all.type, rest.type};
  check(MPI_Type_create_struct(2, counts.data(), places.data(), types.data(), &made), "MPI_Type_create_struct");
  return Datatype(committed(made));
}

MPI_Datatype mpi_type(detail::Element element) {
  using enum detail::Element;
  switch (element) {
    case i8:
      return MPI_INT8_T;
    case i16:
      return MPI_INT16_T;
    case i32:
      return MPI_INT32_T;
    case i64:
      return MPI_INT64_T;
    case u8:
      return MPI_UINT8_T;
    case u16:
      return MPI_UINT16_T;
    case u32:
      return MPI_UINT32_T;
    case u64:
      return MPI_UINT64_T;
    case f32:
      return MPI_FLOAT;
    case f64:
      return MPI_DOUBLE;
    case f_long:
      return MPI_LONG_DOUBLE;
    case boolean:
      return MPI_C_BOOL;
  }
  throw UsageError("an element type that MPI does not know");
}

MPI_Op mpi_operation(detail::Operation operation) {
  using enum detail::Operation;
  switch (operation) {
    case sum:
      return MPI_SUM;
    case product:
      return MPI_PROD;
    case minimum:
      return MPI_MIN;
    case maximum:
      return MPI_MAX;
    case logical_and:
      return MPI_LAND;
    case logical_or:
      return MPI_LOR;
    case bit_and:
      return MPI_BAND;
    case bit_or:
      return MPI_BOR;
    case bit_xor:
      return MPI_BXOR;
  }
  throw UsageError("an operation that MPI does not know");
}

}  // namespace rankview::transport

namespace rankview::inline abi_0_1::detail {

std::size_t size_of(Element element) {
  switch (element) {
    case Element::i8:
    case Element::u8:
    case Element::boolean:
      return 1;
    case Element::i16:
    case Element::u16:
      return 2;
    case Element::i32:
    case Element::u32:
    case Element::f32:
      return 4;
    case Element::i64:
    case Element::u64:
    case Element::f64:
      return 8;
    case Element::f_long:
      return sizeof(long double);
  }
  return 0;
}

}  // namespace rankview::detail
