// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "farm/printer.hpp"

#include <poll.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <system_error>
#include <vector>

namespace rankview::farm {
namespace {

constexpr std::size_t printed_at_once = 64U * 1024U;

// Hands lines on with a tag before each.
class TaggedLines {
 public:
  TaggedLines(const std::string& tag, TextSink& to) : tag_(tag.empty() ? "" : tag + "\t"), to_(to) {}

  void write(std::string_view text) {
    if (tag_.empty()) {
      to_.write(text);
      return;
    }
    std::string tagged;
    while (!text.empty()) {
      if (at_beginning_) tagged += tag_;
      const std::size_t end = text.find('\n');
      at_beginning_ = end != std::string_view::npos;
      const std::size_t length = at_beginning_ ? end + 1 : text.size();
      tagged += text.substr(0, length);
      text.remove_prefix(length);
    }
    to_.write(tagged);
  }

 private:
  const std::string tag_;
  TextSink& to_;
  bool at_beginning_ = true;
};

void write_whole(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EAGAIN) {
      // Somebody has made it non-blocking.
      pollfd fd{descriptor, POLLOUT, 0};
      ::poll(&fd, 1, -1);
      continue;
    }
    if (written < 0) throw std::system_error(errno, std::generic_category(), "the output cannot be written");
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace

void DescriptorSink::write(std::string_view text) { write_whole(descriptor_, text); }

void Printer::add(const End& end) {
  if (!prints_) return;
  if (order_ == Order::as_they_end) {
    print(end.job.tag, end.out, end.err);
    return;
  }
  if (end.job.place != due_) {
    waiting_.emplace(end.job.place, put_by(end));
    return;
  }
  print(end.job.tag, end.out, end.err);
  ++due_;
  for (auto next = waiting_.begin(); next != waiting_.end() && next->first == due_; next = waiting_.erase(next), ++due_)
    print(next->second);
}

void Printer::flush() {
  for (const auto& [place, waiting] : waiting_) print(waiting);
  waiting_.clear();
}

void Printer::print(const std::string& tag, const Captured& out, const Captured& err) {
  print(tag, out, out_);
  print(tag, err, err_);
}

void Printer::print(const std::string& tag, const Captured& text, TextSink& to) {
  TaggedLines lines(tag, to);
  text.read([&lines](std::string_view piece) { lines.write(piece); });
}

// So many files cannot be kept open as commands may wait for a slow one.
Printer::Waiting Printer::put_by(const End& end) {
  Waiting waiting{end.job.tag, stored_, 0, 0};
  if (end.out.size() + end.err.size() == 0) return waiting;
  if (!store_) store_ = temporary_file(temporary_directory_);
  const auto put = [this](const Captured& text, std::uint64_t& size) {
    text.read([&](std::string_view piece) {
      write_whole(store_.get(), piece);
      size += piece.size();
    });
    stored_ += size;
  };
  put(end.out, waiting.out);
  put(end.err, waiting.err);
  return waiting;
}

void Printer::print(const Waiting& waiting) {
  print_stored(waiting.tag, waiting.begin, waiting.out, out_);
  print_stored(waiting.tag, waiting.begin + waiting.out, waiting.err, err_);
}

void Printer::print_stored(const std::string& tag, std::uint64_t begin, std::uint64_t size, TextSink& to) {
  TaggedLines lines(tag, to);
  std::vector<char> piece(static_cast<std::size_t>(std::min<std::uint64_t>(size, printed_at_once)));
  while (size != 0) {
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(size, piece.size()));
    const ssize_t got = ::pread(store_.get(), piece.data(), wanted, static_cast<off_t>(begin));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) throw std::system_error(got < 0 ? errno : EIO, std::generic_category(), "output that waited cannot be read");
    lines.write({piece.data(), static_cast<std::size_t>(got)});
    begin += static_cast<std::uint64_t>(got);
    size -= static_cast<std::uint64_t>(got);
  }
}

}  // namespace rankview::farm
