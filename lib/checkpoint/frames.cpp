// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "checkpoint/frames.hpp"

#include <rankview/detail/stream.hpp>
#include <rankview/errors.hpp>

#include <algorithm>
#include <cstring>
#include <optional>

namespace rankview::checkpoint {
namespace {

constexpr std::uint64_t marker = 0x314e52554f4a5652;  // "RVJOURN1"
constexpr std::size_t step = 8;                       // frames begin at multiples of it
// So many bytes of results are lost with a flipped bit.
constexpr std::size_t frame_bytes = 64 * 1024;

struct Head {
  std::uint64_t begins = marker;
  std::uint32_t kind = 0;
  std::uint32_t age = 0;
  std::uint64_t size = 0;  // of what follows
  std::uint64_t check = 0;
};

static_assert(failure_entry == sizeof(Head) + 2 * sizeof(std::uint32_t));

constexpr std::size_t padded(std::size_t size) { return (size + step - 1) / step * step; }

std::uint64_t check_of(const Head& head, Bytes payload) { return checksum(payload, std::uint64_t{head.age} << 32 | head.kind); }

void pad(detail::Buffer& to) {
  constexpr std::byte nothing[step] = {};
  to.append(nothing, padded(to.size()) - to.size());
}

void write_frame(detail::Buffer& to, FrameKind kind, const detail::Writer& payload, std::uint32_t age = 0) {
  Head head;
  head.kind = static_cast<std::uint32_t>(kind);
  head.age = age;
  head.size = payload.bytes.size();
  head.check = check_of(head, payload.bytes.bytes());
  to.append(&head, sizeof(head));
  to.append(payload.bytes.data(), payload.bytes.size());
  pad(to);
}

// Looks at a file through a window that moves on.
class Window {
 public:
  explicit Window(File& file) : file_(file), size_(file.size()) {}

  [[nodiscard]] std::uint64_t size() const { return size_; }
  // Bytes from an offset on, as many as there are up to `count`; until the next call.
  Bytes at(std::uint64_t offset, std::size_t count) {
    count = static_cast<std::size_t>(std::min<std::uint64_t>(count, size_ - std::min(size_, offset)));
    if (offset < begin_ || offset + count > begin_ + held_) {
      const std::size_t wanted = std::max(count, window);
      if (bytes_.size() < wanted) bytes_.resize(wanted);
      begin_ = offset;
      held_ = file_.read(offset, std::span(bytes_).first(wanted));
      // It may have become shorter.
      if (held_ < count) size_ = offset + held_;
    }
    const auto from = static_cast<std::size_t>(offset - begin_);
    return Bytes(bytes_).subspan(from, std::min(count, held_ - from));
  }

 private:
  static constexpr std::size_t window = 1024 * 1024;

  File& file_;
  std::uint64_t size_;
  std::vector<std::byte> bytes_;
  std::uint64_t begin_ = 0;
  std::size_t held_ = 0;
};

std::string text_of(detail::Reader& in) { return std::string(in.text()); }

void take_entry(detail::Reader& in, std::uint64_t end, Finished& into, const Reading& reading) {
  into.entry = end - in.remaining();
  into.key = in.value<Key>();
  into.size = in.value<std::uint64_t>();
  in.skip(static_cast<std::size_t>(into.size));
  reading.finished(into);
}

void take_results(detail::Reader& in, std::uint64_t end, std::uint32_t age, const Reading& reading) {
  Finished finished;
  finished.callable = in.value<std::uint32_t>();
  finished.age = age;
  const auto count = in.value<std::uint32_t>();
  for (std::uint32_t i = 0; i < count; ++i) take_entry(in, end, finished, reading);
}

void take_failure(detail::Reader& in, std::uint64_t end, std::uint32_t age, const Reading& reading) {
  Finished finished;
  finished.callable = in.value<std::uint32_t>();
  finished.age = age;
  finished.failed = true;
  in.value<std::uint32_t>();
  take_entry(in, end, finished, reading);
}

// Whether it is of a kind that is known.
bool take(const Head& head, Bytes bytes, std::uint64_t payload, const Reading& reading) {
  detail::Reader in(bytes);
  switch (static_cast<FrameKind>(head.kind)) {
    case FrameKind::begin: {
      Origin origin;
      origin.format = in.value<std::uint32_t>();
      // What comes then, a later version says.
      if (origin.format == format_version) {
        origin.host = text_of(in);
        origin.process = in.value<std::uint64_t>();
        origin.began = in.value<std::int64_t>();
        origin.program = text_of(in);
      }
      reading.origin(origin);
      return true;
    }
    case FrameKind::function: {
      const auto number = in.value<std::uint32_t>();
      Callable callable;
      callable.name = text_of(in);
      callable.version = text_of(in);
      callable.result = text_of(in);
      callable.shown = text_of(in);
      reading.callable(number, std::move(callable));
      return true;
    }
    case FrameKind::results:
      take_results(in, payload + bytes.size(), head.age, reading);
      return true;
    case FrameKind::failure:
      take_failure(in, payload + bytes.size(), head.age, reading);
      return true;
  }
  return false;
}

}  // namespace

void write(detail::Buffer& to, const Origin& origin) {
  detail::Writer out;
  out.value(origin.format);
  out.text(origin.host);
  out.value(origin.process);
  out.value(origin.began);
  out.text(origin.program);
  write_frame(to, FrameKind::begin, out);
}

void write(detail::Buffer& to, std::uint32_t number, const Callable& callable) {
  detail::Writer out;
  out.value(number);
  out.text(callable.name);
  out.text(callable.version);
  out.text(callable.result);
  out.text(callable.shown);
  write_frame(to, FrameKind::function, out);
}

void write_failure(detail::Buffer& to, std::uint32_t callable, const Key& key, std::string_view why, std::uint32_t age) {
  detail::Writer out;
  out.value(callable);
  out.value(std::uint32_t{0});
  out.value(key);
  out.text(why);
  write_frame(to, FrameKind::failure, out, age);
}

std::size_t ResultFrames::add(detail::Buffer& to, std::uint32_t callable, const Key& key, Bytes value) {
  if (open() && (callable != callable_ || to.size() - begin_ + value.size() > frame_bytes)) close(to);
  if (!open()) {
    begin_ = to.size();
    callable_ = callable;
    count_ = 0;
    to.extend(sizeof(Head) + 2 * sizeof(std::uint32_t));
  }
  ++count_;
  const std::size_t entry = to.size();
  const std::uint64_t size = value.size();
  to.append(&key, sizeof(key));
  to.append(&size, sizeof(size));
  to.append(value.data(), value.size());
  return entry;
}

void ResultFrames::close(detail::Buffer& to) {
  if (!open()) return;
  std::byte* const at = to.data() + begin_;
  const Bytes payload = to.bytes().subspan(begin_ + sizeof(Head));
  std::memcpy(at + sizeof(Head), &callable_, sizeof(callable_));
  std::memcpy(at + sizeof(Head) + sizeof(callable_), &count_, sizeof(count_));
  Head head;
  head.kind = static_cast<std::uint32_t>(FrameKind::results);
  head.age = age_;
  head.size = payload.size();
  head.check = check_of(head, payload);
  std::memcpy(at, &head, sizeof(head));
  begin_ = none;
  pad(to);
}

std::uint64_t read_frames(File& file, std::uint64_t begin, const Reading& reading, Damage& damage) {
  Window window(file);
  std::uint64_t at = begin;
  const auto damaged = [&](std::uint64_t bytes) {
    if (damage.bytes == 0) damage.first = at;
    damage.bytes += bytes;
    at += bytes;
  };
  // What looks unfinished is so only if nothing whole comes behind it: until then it counts as damaged, and the last of it is taken back.
  std::optional<std::uint64_t> unfinished;
  while (at < window.size()) {
    Head head;
    const Bytes first = window.at(at, sizeof(head));
    if (first.size() < sizeof(head)) break;
    std::memcpy(&head, first.data(), sizeof(head));
    if (head.begins != marker) {
      damaged(step);
      continue;
    }
    const std::uint64_t payload = at + sizeof(head);
    if (head.size > window.size() - payload) {
      // Not all of it is there: it is being written, or its length is damaged.
      if (!unfinished) unfinished = at;
      damaged(step);
      continue;
    }
    const auto size = static_cast<std::size_t>(head.size);
    const Bytes bytes = window.at(payload, size);
    if (bytes.size() < size || check_of(head, bytes) != head.check) {
      damaged(step);
      continue;
    }
    unfinished.reset();
    try {
      if (!take(head, bytes, payload, reading)) ++damage.later;
    } catch (const DecodeError&) {
      // Its checksum is right, and still it is none that this version writes.
      ++damage.later;
    }
    at = payload + padded(size);
  }
  if (unfinished) {
    damage.bytes -= at - *unfinished;
    at = *unfinished;
  }
  damage.cut = at < window.size();
  return at;
}

Entry read_entry(std::span<const std::byte, entry_head> bytes) {
  detail::Reader in(bytes);
  Entry entry;
  entry.key = in.value<Key>();
  entry.size = in.value<std::uint64_t>();
  return entry;
}

}  // namespace rankview::checkpoint
