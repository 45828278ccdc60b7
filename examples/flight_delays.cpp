// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
//
// From where do flights come late? First one task a monthly file finds the airports with the longest delays, then one task a
// (file, airport) pair looks closer at each. Engines keep what they read among their variables, so none reads a file twice.
//
// Run:    mpirun -np 5 ./flight_delays [directory with one .csv file a month, which every rank can read]
//
// Output, where what stands in <> differs from run to run:
//            all airports              airports with the longest delays; * is the longest of the month
//   month    flights   mean     late   from  flights   mean     late  median  90 %  longest   on                to
//   2001-01    10165    5.7   21.3 %   SJU        41   22.5   36.6 %       4    83      221   2001-01-27 16:58  EWR
//                                      SMF        73   15.2   24.7 %       1    42      199   2001-01-16 15:29  PHX
//                                      RNO        36   14.2   36.1 %       3    59      103   2001-01-26 18:00  LAS
//                                      SDF        44   10.8   18.2 %      -3    29      332 * 2001-01-11 12:22  DTW
//   2001-02     9164    8.9   23.8 %   JFK       115   26.2   37.4 %      10    98      457   2001-02-22 00:49  ROC
//                                      PHX       292   21.6   29.5 %       2    53     1433 * 2001-02-03 00:00  DTW
//                                      BUR        37   19.6   35.1 %       2    53      192   2001-02-28 22:29  OAK
//   2001-03    10231    7.4   21.8 %   PBI        50   17.7   28.0 %       3    42      473   2001-03-08 16:14  ORD
//                                      JFK       108   17.2   29.6 %       0    57      272   2001-03-21 22:41  TPA
//                                      ANC        34   16.3   35.3 %       4    43      128   2001-03-29 19:11  FAI
//                                      PHX       317   13.8   25.9 %       2    34     1438 * 2001-03-31 23:58  DTW
//   2001-04    10021    5.7   19.2 %   ANC        32   22.7   18.8 %       3    62      312   2001-04-22 13:25  SEA
//                                      ORD       565   16.7   29.2 %      -1    72      816 * 2001-04-03 07:12  DFW
//                                      ABQ        62   12.5   21.0 %       0    40      200   2001-04-16 22:08  SLC
//   2001-05    10377    2.8   17.0 %   ORD       565    9.2   27.3 %      -1    48      226   2001-05-11 15:30  PHL
//                                      CMH        72    8.6   22.2 %      -3    42      183   2001-05-21 18:52  LGA
//                                      DEN       238    8.2   23.1 %       0    35      200   2001-05-04 22:27  CID
//                                      BWI       169   -1.1    8.9 %      -6    13      406 * 2001-05-24 21:08  IAH
//   2001-06    10045    9.0   22.7 %   PVD        43   27.1   23.3 %      -2    81      578   2001-06-17 19:22  JFK
//                                      ATL       399   18.9   34.6 %       5    60      250   2001-06-03 22:51  PIT
//                                      SAT        55   18.1   27.3 %       0    79      142   2001-06-04 17:15  STL
//                                      LGA       213    6.5   22.1 %     -10    50      865 * 2001-06-20 07:00  DTW
//   delays in minutes; late: by 15 or more; longest mean delay among airports with 30 flights and more in the month
//
//   round     tasks    elapsed     serial  speedup  tasks of each engine
//   files         6    <0.031> s    <0.093> s    <3.0>  <1 2 1 2>
//   airports     22    <0.045> s    <0.106> s    <2.4>  <5 6 5 6>

#include <rankview/rankview.hpp>

#include <boost/serialization/vector.hpp>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <ranges>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fs = std::filesystem;
namespace rv = rankview;

constexpr int late = 15;                     // minutes from which on a flight is late
constexpr std::size_t busy = 30;             // flights in a month from which on an airport's mean delay says something
constexpr std::size_t airports_a_month = 3;  // with the longest mean delay

struct Flight {
  std::string date;
  int delay = 0;  // minutes, negative when early
  std::string from;
  std::string to;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    (archive & date & delay & from & to);
  }
};

// What a task finds out about some flights.
struct Delays {
  std::size_t flights = 0;
  double mean = 0;
  int median = 0;
  int ninetieth = 0;      // 90 % of the flights were not later
  double late_share = 0;  // between 0 and 1
  Flight longest;         // the first one of that delay

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    (archive & flights & mean & median & ninetieth & late_share & longest);
  }
};

struct Month {
  Delays all;
  std::vector<std::string> airports;  // those with the longest mean delay, then the one with the longest delay of all

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    (archive & all & airports);
  }
};

// ---- reading a file ---------------------------------------------------------------------------------------------------------

constexpr std::string_view header = "DATE,DELAY,DISTANCE,ORIGIN,DEST";

// Whether `text` looks like `pattern`, in which 0 stands for any digit and A for any capital letter.
bool looks_like(std::string_view text, std::string_view pattern) {
  return std::ranges::equal(text, pattern, [](char c, char p) {
    return p == '0' ? '0' <= c && c <= '9' : p == 'A' ? 'A' <= c && c <= 'Z' : c == p;
  });
}

Flight parse(const std::string& row) {
  std::vector<std::string> fields;
  for (const auto field : std::views::split(row, ',')) fields.emplace_back(field.begin(), field.end());
  if (fields.size() != 5) throw std::invalid_argument("5 fields expected, " + std::to_string(fields.size()) + " found");

  Flight flight{.date = fields[0], .from = fields[3], .to = fields[4]};
  if (!looks_like(flight.date, "0000-00-00 00:00")) throw std::invalid_argument("DATE is not like 2001-01-31 23:59");
  if (!looks_like(flight.from, "AAA")) throw std::invalid_argument("ORIGIN is not an airport's three letters");
  if (!looks_like(flight.to, "AAA")) throw std::invalid_argument("DEST is not an airport's three letters");

  const std::string& delay = fields[1];
  const char* const end = delay.data() + delay.size();
  const auto [stop, error] = std::from_chars(delay.data(), end, flight.delay);
  if (error != std::errc() || stop != end) throw std::invalid_argument("DELAY is not a whole number of minutes");
  return flight;
}

// What is wrong with a row is told with the file and the line.
std::vector<Flight> read_flights(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error(path + ": cannot be opened");

  std::vector<Flight> flights;
  std::string row;
  for (int line = 1; std::getline(file, row); ++line) {
    if (row.ends_with('\r')) row.pop_back();
    try {
      if (line > 1) {
        flights.push_back(parse(row));
      } else if (row != header) {
        throw std::invalid_argument("this should be the header " + std::string(header));
      }
    } catch (const std::invalid_argument& error) {
      throw std::runtime_error(path + ":" + std::to_string(line) + ": " + error.what() + ": \"" + row + "\"");
    }
  }
  if (flights.empty()) throw std::runtime_error(path + ": there are no flights in it");
  return flights;
}

// The same, from the engine's variables if it has read the file before.
const std::vector<Flight>& flights_of(const std::string& path) {
  rv::Variables& vars = rv::this_engine::vars();
  return vars.contains(path) ? vars.get<std::vector<Flight>>(path) : vars.set(path, read_flights(path));
}

// ---- the tasks --------------------------------------------------------------------------------------------------------------

double mean(const std::vector<int>& delays) {
  double sum = 0;
  for (const int delay : delays) sum += delay;
  return sum / static_cast<double>(delays.size());
}

template <std::ranges::forward_range R>
Delays summary(R&& flights) {
  std::vector<int> delays;
  for (const Flight& flight : flights) delays.push_back(flight.delay);
  std::ranges::sort(delays);
  const std::size_t n = delays.size();
  return {.flights = n,
          .mean = mean(delays),
          .median = delays[(n - 1) / 2],
          .ninetieth = delays[(n - 1) * 9 / 10],
          .late_share = static_cast<double>(delays.end() - std::ranges::lower_bound(delays, late)) / static_cast<double>(n),
          .longest = *std::ranges::max_element(flights, {}, &Flight::delay)};
}

Month survey(const std::string& file) {
  const std::vector<Flight>& flights = flights_of(file);
  std::map<std::string, std::vector<int>> delays;
  for (const Flight& flight : flights) delays[flight.from].push_back(flight.delay);

  std::vector<std::pair<double, std::string>> ranking;
  for (const auto& [airport, its] : delays)
    if (its.size() >= busy) ranking.emplace_back(-mean(its), airport);
  std::ranges::sort(ranking);

  Month month{.all = summary(flights), .airports = {}};
  for (const auto& [_, airport] : ranking | std::views::take(airports_a_month)) month.airports.push_back(airport);
  if (std::ranges::count(month.airports, month.all.longest.from) == 0) month.airports.push_back(month.all.longest.from);
  return month;
}

Delays look_at(const std::string& file, const std::string& airport) {
  return summary(flights_of(file) | std::views::filter([&](const Flight& flight) { return flight.from == airport; }));
}

// ---- the client -------------------------------------------------------------------------------------------------------------

std::vector<std::string> csv_files(const fs::path& directory) {
  if (!fs::is_directory(directory)) throw std::runtime_error(directory.string() + " is not a directory");
  std::vector<std::string> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory))
    if (entry.path().extension() == ".csv") files.push_back(entry.path().string());
  if (files.empty()) throw std::runtime_error("there are no .csv files in " + directory.string());
  std::ranges::sort(files);
  return files;
}

// A line for each month and airport; the airports' delays come in the order of the months.
void print_table(const std::vector<std::string>& files, const std::vector<Month>& months, const std::vector<Delays>& delays) {
  std::printf("         all airports              airports with the longest delays; * is the longest of the month\n");
  std::printf("month    flights   mean     late   from  flights   mean     late  median  90 %%  longest   on                to\n");
  auto its = delays.begin();
  for (std::size_t m = 0; m < months.size(); ++m) {
    const Delays& all = months[m].all;
    std::printf("%-7s  %7zu  %5.1f  %5.1f %%", fs::path(files[m]).stem().c_str(), all.flights, all.mean, 100 * all.late_share);
    for (std::size_t a = 0; a < months[m].airports.size(); ++a, ++its)
      std::printf("%*s   %-4s  %7zu  %5.1f  %5.1f %%  %6d  %4d  %7d %c %s  %s\n", a == 0 ? 0 : 32, "", months[m].airports[a].c_str(),
                  its->flights, its->mean, 100 * its->late_share, its->median, its->ninetieth, its->longest.delay,
                  its->longest.delay == all.longest.delay ? '*' : ' ', its->longest.date.c_str(), its->longest.to.c_str());
  }
  std::printf("delays in minutes; late: by %d or more; longest mean delay among airports with %zu flights and more in the month\n", late,
              busy);
}

template <class T>
void print_times(const char* round, const rv::AsyncResult<T>& result, std::size_t engines) {
  std::vector<int> tasks(engines);
  for (const rv::Metadata& task : result.metadata_all()) ++tasks.at(static_cast<std::size_t>(task.engine));
  std::printf("%-8s  %5zu  %7.3f s  %7.3f s  %7.1f ", round, result.size(), result.wall_time().count(), result.serial_time().count(),
              result.speedup());
  for (const int count : tasks) std::printf(" %d", count);
  std::printf("\n");
}

int main(int argc, char** argv) {
  return rv::run(argc, argv, [=](rv::Client& rc) {
    if (argc > 2) throw std::invalid_argument("usage: flight_delays [directory]");
    const std::vector<std::string> files = csv_files(argc == 2 ? argv[1] : RANKVIEW_FLIGHTS);
    const rv::LoadBalancedView view = rc.load_balanced_view();

    const auto surveys = view.map(survey, files);
    const std::vector<Month>& months = surveys.get();

    std::vector<std::string> paired_files;  // in step with the airports
    std::vector<std::string> airports;
    for (std::size_t m = 0; m < months.size(); ++m)
      for (const std::string& airport : months[m].airports) {
        paired_files.push_back(files[m]);
        airports.push_back(airport);
      }
    const auto delays = view.map(look_at, paired_files, airports);

    print_table(files, months, delays.get());
    std::printf("\nround     tasks    elapsed     serial  speedup  tasks of each engine\n");
    print_times("files", surveys, rc.size());
    print_times("airports", delays, rc.size());
  });
}
