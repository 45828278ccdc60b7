// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "farm/kept_output.hpp"

#include "checkpoint/key.hpp"

#include <fcntl.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <span>
#include <sstream>
#include <system_error>
#include <vector>

namespace rankview::farm {
namespace {

constexpr std::string_view heading = "rankview output 1\n";
constexpr std::size_t copied_at_once = 64U * 1024U;
// A line of numbers is not longer.
constexpr std::size_t longest_line = 400;
constexpr std::string_view begins = "task ";

// A checksum of text that comes in pieces, the same wherever it was cut.
class Check {
 public:
  void add(std::string_view text) {
    while (!text.empty()) {
      const std::string_view part = text.substr(0, copied_at_once - block_.size());
      block_ += part;
      text.remove_prefix(part.size());
      if (block_.size() == copied_at_once) fold();
    }
  }
  std::uint64_t value() {
    fold();
    return value_;
  }

 private:
  void fold() {
    value_ = checkpoint::checksum(std::as_bytes(std::span(block_.data(), block_.size())), value_);
    block_.clear();
  }

  std::string block_;
  std::uint64_t value_ = 0;
};

std::string trailer_of(std::uint64_t check) {
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "\ncheck %016llx\n", static_cast<unsigned long long>(check));
  return text.data();
}

}  // namespace

void OutputKeeper::add(const End& end) {
  if (!file_) {
    file_ = isolation::Fd(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (!file_) throw std::system_error(errno, std::generic_category(), path_);
    DescriptorSink(file_.get()).write(heading);
  }
  DescriptorSink file(file_.get());
  std::ostringstream line;
  line << begins << end.job.number << ' ' << end.job.attempt << ' ' << static_cast<int>(end.cause) << ' ' << end.status << ' ' << end.signal
       << ' ' << end.started << ' ' << end.took.count() << ' ' << end.slot << ' ' << end.host.size() << ' ' << end.command.size() << ' '
       << end.out.size() << ' ' << end.err.size() << '\n';
  std::string text = line.str() + end.host + end.command;
  Check check;
  check.add(end.host);
  check.add(end.command);
  const auto put = [&](std::string_view piece) {
    check.add(piece);
    text += piece;
    if (text.size() < copied_at_once) return;
    file.write(text);
    text.clear();
  };
  for (const Captured* const stream : {&end.out, &end.err}) {
    std::uint64_t left = stream->size();
    stream->read([&](std::string_view piece) {
      left -= piece.size();
      put(piece);
    });
    // What it has left running may have cut its output meanwhile.
    for (; left != 0; left -= std::min<std::uint64_t>(left, copied_at_once))
      put(std::string(static_cast<std::size_t>(std::min<std::uint64_t>(left, copied_at_once)), '\0'));
  }
  file.write(text + trailer_of(check.value()));
}

OutputFile::OutputFile(const std::string& path) : file_(path, std::ios::binary) {
  if (!file_) throw std::system_error(errno, std::generic_category(), path);
  size_ = std::filesystem::file_size(path);
  std::string line;
  damaged_ = !std::getline(file_, line) || line + "\n" != heading;
  at_ = heading.size();
}

bool OutputFile::next(KeptOutput& output) {
  if (damaged_ || at_ >= size_) return false;
  damaged_ = true;
  file_.clear();
  file_.seekg(static_cast<std::streamoff>(at_));
  std::array<char, longest_line> line{};
  if (!file_.getline(line.data(), line.size()) || std::string_view(line.data()).substr(0, begins.size()) != begins) return false;
  std::istringstream numbers(line.data() + begins.size());
  int cause = 0;
  std::uint64_t host = 0;
  std::uint64_t command = 0;
  numbers >> output.number >> output.attempt >> cause >> output.status >> output.signal >> output.started >> output.took >> output.slot >>
      host >> command >> output.out_size >> output.err_size;
  const std::uint64_t begin = at_ + std::string_view(line.data()).size() + 1;
  std::uint64_t end = begin;
  for (const std::uint64_t size : {host, command, output.out_size, output.err_size}) {
    if (!numbers || size > size_ - end) return false;
    end += size;
  }
  const std::size_t trailer = trailer_of(0).size();
  if (cause < 0 || cause > static_cast<int>(Cause::refused) || trailer > size_ - end) return false;
  output.cause = static_cast<Cause>(cause);
  output.host.resize(static_cast<std::size_t>(host));
  output.command.resize(static_cast<std::size_t>(command));
  file_.read(output.host.data(), static_cast<std::streamsize>(host));
  file_.read(output.command.data(), static_cast<std::streamsize>(command));
  output.at = begin + host + command;
  at_ = end + trailer;
  damaged_ = !file_;
  return !damaged_;
}

bool OutputFile::copy(const KeptOutput& output, TextSink& out, TextSink& err) {
  file_.clear();
  file_.seekg(static_cast<std::streamoff>(output.at));
  Check check;
  check.add(output.host);
  check.add(output.command);
  std::vector<char> piece(copied_at_once);
  for (const auto& [size, to] : {std::pair(output.out_size, &out), std::pair(output.err_size, &err)}) {
    for (std::uint64_t left = size; left != 0;) {
      const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(left, piece.size()));
      if (!file_.read(piece.data(), static_cast<std::streamsize>(wanted))) return false;
      const std::string_view text(piece.data(), wanted);
      check.add(text);
      to->write(text);
      left -= wanted;
    }
  }
  std::string trailer(trailer_of(0).size(), '\0');
  file_.read(trailer.data(), static_cast<std::streamsize>(trailer.size()));
  return file_ && trailer == trailer_of(check.value());
}

}  // namespace rankview::farm
