// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
//
// The most frequent words of text files. Rank 0 looks at sizes only: each task reads its part of a file, from line end to line end, and
// counts. Engines add up what they have counted, and rank 0 what the engines send.
//
// Run:    mpirun -np 5 ./word_count [files, which every rank can read]
//
// Output, where what stands in <> differs from run to run:
//   files: 2, parts: <25>, words: 684, different words: 266
//       78  the
//       22  and
//       21  of
//       20  in
//       19  a
//       19  to
//       14  is
//       13  software
//       10  or
//        9  it
//        9  one
//        9  that

#include <rankview/rankview.hpp>

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace fs = std::filesystem;
namespace rv = rankview;

using Counts = std::map<std::string, long>;

constexpr std::uintmax_t largest_part = 1024 * 1024;
constexpr std::uintmax_t parts_an_engine = 8;  // at least, so that none waits long for the last
constexpr std::size_t shown = 12;

// ---- the tasks --------------------------------------------------------------------------------------------------------------

// Letters of other alphabets are several bytes of UTF-8, none of which is ASCII.
bool in_word(unsigned char c) { return std::isalpha(c) != 0 || c >= 0x80; }

void count_words(const std::string& line, Counts& counts) {
  std::string word;
  for (const char c : line + ' ') {
    if (in_word(static_cast<unsigned char>(c))) {
      word += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    } else if (!word.empty()) {
      ++counts[std::exchange(word, {})];
    }
  }
}

// Of the lines that begin in [begin, end).
Counts count_part(const std::string& path, std::uintmax_t begin, std::uintmax_t end) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(path + ": cannot be opened");
  std::uintmax_t at = begin;
  std::string line;
  if (begin > 0) {
    file.seekg(static_cast<std::streamoff>(begin - 1));  // the line that goes on here belongs to the part before
    std::getline(file, line);
    at += line.size();
  }
  Counts counts;
  while (at < end && std::getline(file, line)) {
    at += line.size() + 1;
    count_words(line, counts);
  }
  if (file.bad() || (at < end && !file.eof())) throw std::runtime_error(path + ": cannot be read");
  return counts;
}

Counts add(Counts a, const Counts& b) {
  for (const auto& [word, count] : b) a[word] += count;
  return a;
}

// ---- the client -------------------------------------------------------------------------------------------------------------

std::uintmax_t size_of(const std::string& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (fs::exists(status) && !fs::is_regular_file(status)) throw std::runtime_error(path + ": is not a file that can be read in parts");
  const std::uintmax_t size = fs::file_size(path, error);
  if (error) throw std::runtime_error(path + ": " + error.message());
  return size;
}

int main(int argc, char** argv) {
  return rv::run(argc, argv, [=](rv::Client& rc) {
    std::vector<std::string> files(argv + 1, argv + argc);
    if (files.empty()) files = {RANKVIEW_TEXTS};

    std::uintmax_t total = 0;
    for (const std::string& file : files) total += size_of(file);
    const std::uintmax_t part = std::clamp<std::uintmax_t>(total / (parts_an_engine * rc.size()), 1, largest_part);

    std::vector<std::string> paths;  // the three in step
    std::vector<std::uintmax_t> begins;
    std::vector<std::uintmax_t> ends;
    for (const std::string& file : files) {
      const std::uintmax_t size = size_of(file);
      for (std::uintmax_t begin = 0; begin < std::max<std::uintmax_t>(size, 1); begin += part) {  // an empty file is a part, too
        paths.push_back(file);
        begins.push_back(begin);
        ends.push_back(std::min(begin + part, size));
      }
    }
    const Counts counts = rc.load_balanced_view().map_reduce_sync(count_part, add, paths, begins, ends);

    long words = 0;
    std::vector<std::pair<long, std::string>> ranking;
    for (const auto& [word, count] : counts) {
      words += count;
      ranking.emplace_back(-count, word);
    }
    std::ranges::sort(ranking);

    std::printf("files: %zu, parts: %zu, words: %ld, different words: %zu\n", files.size(), paths.size(), words, counts.size());
    for (std::size_t i = 0; i < std::min(shown, ranking.size()); ++i)
      std::printf("%6ld  %s\n", -ranking[i].first, ranking[i].second.c_str());
  });
}
