// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include "catch.hpp"
#include "seed.hpp"

#include <rankview/detail/codec.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace unit {

using rankview::detail::Claims;
using rankview::detail::codec;
using rankview::detail::Reader;
using rankview::detail::Writer;

// The matchers for this have other names in Catch2 2 and 3.
inline bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

// What `action` says when it throws an E; "" if it does not throw.
template <class E, class Action>
std::string message_of(Action action) {
  try {
    action();
  } catch (const E& error) {
    return error.what();
  }
  return "";
}

// A copy of exactly these bytes, so that a sanitizer sees the first byte that is read past their end.
class Exact {
 public:
  explicit Exact(std::span<const std::byte> bytes) : data_(new std::byte[bytes.size()]), size_(bytes.size()) {
    if (!bytes.empty()) std::memcpy(data_.get(), bytes.data(), bytes.size());
  }
  [[nodiscard]] std::span<const std::byte> bytes() const { return {data_.get(), size_}; }
  [[nodiscard]] std::span<std::byte> bytes() { return {data_.get(), size_}; }

 private:
  std::unique_ptr<std::byte[]> data_;
  std::size_t size_;
};

inline std::vector<std::uint64_t> sizes_of(const Writer& out) {
  std::vector<std::uint64_t> sizes;
  for (const auto& attachment : out.attachments) sizes.push_back(attachment.size);
  return sizes;
}

// Moves the attachments into the places that were claimed for them.
inline void deliver(const Writer& out, const Claims& claims) {
  REQUIRE(claims.places().size() == out.attachments.size());
  for (std::size_t i = 0; i < out.attachments.size(); ++i) {
    REQUIRE(claims.places()[i].size == out.attachments[i].size);
    std::memcpy(claims.places()[i].data, out.attachments[i].data, out.attachments[i].size);
  }
}

// Saves and loads a value, and sees to it that the one reads exactly what the other wrote.
template <class T>
T round_trip(const T& value) {
  Writer out;
  codec<T>::save(out, value);
  const Exact bytes(out.bytes.bytes());
  const std::vector<std::uint64_t> sizes = sizes_of(out);
  Claims claims(sizes);
  Reader in(bytes.bytes(), &claims);
  T loaded = codec<T>::load(in);
  deliver(out, claims);
  REQUIRE(in.done());
  if (rankview::detail::fixed_size<T> != 0) REQUIRE(out.bytes.size() == rankview::detail::fixed_size<T>);
  return loaded;
}

// Loads what is left of an encoded value when it is cut at each of its bytes. Every cut has to be noticed.
template <class T>
void refuse_every_cut(const T& value) {
  Writer out;
  codec<T>::save(out, value);
  const std::vector<std::uint64_t> sizes = sizes_of(out);
  std::size_t refused = 0;
  for (std::size_t length = 0; length < out.bytes.size(); ++length) {
    const Exact bytes(out.bytes.bytes().first(length));
    Claims claims(sizes);
    Reader in(bytes.bytes(), &claims);
    try {
      static_cast<void>(codec<T>::load(in));
    } catch (const std::exception&) {
      ++refused;
    }
  }
  CHECK(refused == out.bytes.size());
}

// Loads with bytes overwritten here and there. Anything may come out but a crash.
template <class T>
void survive_corruption(const T& value, int rounds = 2000) {
  Writer out;
  codec<T>::save(out, value);
  if (out.bytes.empty()) return;
  const std::vector<std::uint64_t> sizes = sizes_of(out);
  const std::uint32_t seed = test::seed("corruption");
  INFO("RANKVIEW_TEST_SEED=" << seed);
  std::mt19937 random(seed);
  for (int round = 0; round < rounds; ++round) {
    Exact bytes(out.bytes.bytes());
    for (std::size_t changes = 1 + random() % 3; changes > 0; --changes)
      bytes.bytes()[random() % bytes.bytes().size()] = static_cast<std::byte>(random() % 4 == 0 ? 0xff : random());
    Claims claims(sizes);
    Reader in(bytes.bytes(), &claims);
    try {
      static_cast<void>(codec<T>::load(in));
    } catch (const std::exception&) {
      // As good an answer as a value.
    }
  }
  SUCCEED("no crash");
}

}  // namespace unit
