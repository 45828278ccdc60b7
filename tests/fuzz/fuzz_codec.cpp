// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
// Whatever bytes arrive, a value is decoded or refused with an exception, and what was decoded can be encoded again.
#include "types.hpp"

#include <rankview/errors.hpp>

#include <cstdlib>
#include <cstring>
#include <exception>
#include <span>

using namespace rankview::detail;

namespace {

struct Input {
  std::vector<std::uint64_t> sizes;
  std::span<const std::byte> bytes;
};

template <class T>
T load_from(const Input& input, bool* whole) {
  Claims claims(input.sizes);
  Reader in(input.bytes, &claims);
  T value = codec<T>::load(in);
  *whole = in.done();
  for (const auto& place : claims.places()) std::memset(place.data, 0x5a, place.size);
  return value;
}

// The encoding, with attachments put where they belong in order.
template <class T>
std::vector<std::byte> encoding(const T& value, Writer& out) {
  codec<T>::save(out, value);
  std::vector<std::byte> all(out.bytes.bytes().begin(), out.bytes.bytes().end());
  for (const auto& attachment : out.attachments) all.insert(all.end(), attachment.data, attachment.data + attachment.size);
  return all;
}

template <class T>
void check(const Input& input) {
  bool whole = false;
  T value = load_from<T>(input, &whole);
  Writer first;
  const auto once = encoding(value, first);

  std::vector<std::uint64_t> sizes;
  for (const auto& attachment : first.attachments) sizes.push_back(attachment.size);
  Claims claims(sizes);
  Reader in(first.bytes.bytes(), &claims);
  const T again = codec<T>::load(in);
  if (!in.done() || claims.places().size() != first.attachments.size()) std::abort();
  for (std::size_t i = 0; i < sizes.size(); ++i) std::memcpy(claims.places()[i].data, first.attachments[i].data, first.attachments[i].size);
  Writer second;
  if (encoding(again, second) != once) std::abort();
}

template <std::size_t... I>
void check_type(std::size_t type, const Input& input, std::index_sequence<I...>) {
  static_cast<void>(((type == I && (check<std::tuple_element_t<I, fuzz::Types>>(input), true)) || ...));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::size_t type = data[0] % fuzz::type_count;
  const std::size_t attachments = data[1] % (fuzz::most_attachments + 1);
  std::size_t at = 2;
  Input input;
  for (std::size_t i = 0; i < attachments && at + 2 <= size; ++i, at += 2)
    input.sizes.push_back(attach_bytes + static_cast<std::uint64_t>(data[at]) + 256U * static_cast<std::uint64_t>(data[at + 1]));
  input.bytes = {reinterpret_cast<const std::byte*>(data + at), size - at};
  try {
    check_type(type, input, std::make_index_sequence<fuzz::type_count>());
  } catch (const std::bad_alloc&) {
    // A length was believed.
    std::abort();
  } catch (const std::exception&) {
    // Refused.
  }
  return 0;
}
