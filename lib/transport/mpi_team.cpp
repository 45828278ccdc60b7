// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include "transport/mpi_team.hpp"

#include "transport/datatype.hpp"

#include <boost/mpi/communicator.hpp>

#include <algorithm>
#include <array>
#include <functional>
#include <numeric>
#include <utility>

namespace rankview::transport {
namespace {

constexpr int fold_tag = 1;
constexpr int part_tag = 2;

// MPI takes the data of what is only sent as const in some calls and not in others.
template <class T>
T* writable(const T* data) {
  return const_cast<T*>(data);
}

}  // namespace

// Requests, and what MPI looks at until they are done.
class MpiTeam::Requests final : public Transfer {
 public:
  bool done() override {
    int all = 1;
    check(MPI_Testall(static_cast<int>(requests.size()), requests.data(), &all, MPI_STATUSES_IGNORE), "MPI_Testall");
    return all != 0;
  }
  MPI_Request* next() { return &requests.emplace_back(MPI_REQUEST_NULL); }

  // What parts of an array are counted in: bytes where an int can count those of all, elements otherwise. Two ranks need not agree.
  struct Unit {
    MPI_Datatype type;
    std::uint64_t in_element;

    [[nodiscard]] int count(std::uint64_t elements) const { return static_cast<int>(elements * in_element); }
  };
  Unit unit(std::uint64_t total, std::uint64_t element_bytes) {
    if (element_bytes == 0 || total <= most_at_once / element_bytes) return {MPI_BYTE, element_bytes};
    types.push_back(Datatype::element(element_bytes));
    return {types.back().get(), 1};
  }

  std::vector<MPI_Request> requests;
  std::vector<Datatype> types;
  std::vector<int> counts, offsets;
  std::uint64_t size = 0;
};

void MpiTeam::begin_broadcast(std::byte* data, std::uint64_t bytes, int root, MPI_Comm comm, Requests& requests) {
  if (bytes <= most_at_once) {
    check(MPI_Ibcast(data, static_cast<int>(bytes), MPI_BYTE, root, comm, requests.next()), "MPI_Ibcast");
    return;
  }
  requests.types.push_back(Datatype::elements(bytes, 1, 1));
  check(MPI_Ibcast(data, 1, requests.types.back().get(), root, comm, requests.next()), "MPI_Ibcast");
}

namespace {

// A long reduction as short ones, two at a time. MPI_Ireduce does not pipeline, and what fits the cache is added up several times faster
// (measured here: 80 MB from two engines in 36 ms, where one MPI_Reduce takes 85).
class Segments final : public Transfer {
 public:
  using Begin = std::function<void(std::uint64_t first, int count, MPI_Request* request)>;

  Segments(std::uint64_t count, std::uint64_t element_bytes, Begin begin)
      : count_(count), segment_(segment_bytes / element_bytes), begin_(std::move(begin)) {
    for (MPI_Request& request : requests_) next(request);
  }

  bool done() override {
    for (;;) {
      MPI_Request& oldest = requests_[oldest_];
      if (oldest == MPI_REQUEST_NULL) return true;
      int over = 0;
      check(MPI_Test(&oldest, &over, MPI_STATUS_IGNORE), "MPI_Test");
      if (over == 0) return false;
      next(oldest);
      oldest_ = 1 - oldest_;
    }
  }

 private:
  static constexpr std::uint64_t segment_bytes = 256 * 1024;

  void next(MPI_Request& request) {
    request = MPI_REQUEST_NULL;
    if (begun_ == count_) return;
    const std::uint64_t size = std::min(segment_, count_ - begun_);
    begin_(begun_, static_cast<int>(size), &request);
    begun_ += size;
  }

  std::uint64_t count_;
  std::uint64_t segment_;
  std::uint64_t begun_ = 0;
  Begin begin_;
  std::array<MPI_Request, 2> requests_{};
  std::size_t oldest_ = 0;
};

// Bytes of unknown number from another engine: first how many, then these.
class Arrival final : public Transfer {
 public:
  Arrival(int from, Buffer& into, MPI_Comm comm) : from_(from), into_(into), comm_(comm) {
    requests_.resize(1);
    check(MPI_Irecv(&size_, 1, MPI_UINT64_T, from_, fold_tag, comm_, requests_.data()), "MPI_Irecv");
  }
  Arrival(const Arrival&) = delete;
  Arrival& operator=(const Arrival&) = delete;

  bool done() override {
    int all = 1;
    check(MPI_Testall(static_cast<int>(requests_.size()), requests_.data(), &all, MPI_STATUSES_IGNORE), "MPI_Testall");
    if (all == 0 || sized_) return all != 0;
    sized_ = true;
    requests_.clear();
    std::byte* const to = into_.extend(size_);
    for (std::uint64_t at = 0; at < size_; at += piece_bytes) {
      requests_.push_back(MPI_REQUEST_NULL);
      check(MPI_Irecv(to + at, static_cast<int>(std::min<std::uint64_t>(piece_bytes, size_ - at)), MPI_BYTE, from_, fold_tag, comm_,
                      &requests_.back()),
            "MPI_Irecv");
    }
    return done();
  }

 private:
  int from_;
  Buffer& into_;
  MPI_Comm comm_;
  std::uint64_t size_ = 0;
  bool sized_ = false;
  std::vector<MPI_Request> requests_;
};

// Whether the parts can be told in ints from one address. If not, each goes with a datatype that knows where it is.
bool plain(const Deal& deal) { return deal.dist == Distribution::block && deal.total <= most_at_once; }

}  // namespace

MpiTeam::MpiTeam(const Communicator& parent, const std::vector<int>& engines, int tag) {
  std::vector<int> ranks{0};
  ranks.insert(ranks.end(), engines.begin(), engines.end());
  with_root_ = Communicator::among(parent.get(), ranks, tag);
  member_ = with_root_.rank();
  members_ = with_root_.size();
  if (member_ == 0) return;
  engines_ = Communicator::among(parent.get(), engines, tag);
}

MpiTeam::~MpiTeam() = default;

Team::Begun MpiTeam::gather_votes(const Vote& own, std::span<Vote> all) {
  auto requests = std::make_unique<Requests>();
  check(MPI_Igather(&own, sizeof(Vote), MPI_BYTE, all.data(), sizeof(Vote), MPI_BYTE, 0, with_root_.get(), requests->next()),
        "MPI_Igather");
  return requests;
}

Team::Begun MpiTeam::announce(Verdict& verdict) {
  auto requests = std::make_unique<Requests>();
  check(MPI_Ibcast(&verdict, sizeof(Verdict), MPI_BYTE, 0, with_root_.get(), requests->next()), "MPI_Ibcast");
  return requests;
}

Team::Begun MpiTeam::broadcast(std::byte* data, std::uint64_t bytes) {
  auto requests = std::make_unique<Requests>();
  begin_broadcast(data, bytes, 0, with_root_.get(), *requests);
  return requests;
}

Team::Begun MpiTeam::scatter(const std::byte* from, std::byte* to, const Deal& deal) {
  auto requests = std::make_unique<Requests>();
  Requests& r = *requests;
  const std::size_t parts = engines();
  std::uint64_t own = 0;
  std::vector<std::uint64_t> counts;
  if (member_ == 0) {
    for (std::size_t i = 0; i < parts; ++i) counts.push_back(detail::part_size(deal.total, parts, i));
  } else {
    own = detail::part_size(deal.total, parts, static_cast<std::size_t>(member_) - 1);
  }
  if (plain(deal)) {
    const Requests::Unit unit = r.unit(deal.total, deal.element_bytes);
    if (member_ == 0) {
      r.counts.push_back(0);
      r.offsets.push_back(0);
      for (std::size_t i = 0; i < parts; ++i) {
        r.counts.push_back(unit.count(counts[i]));
        r.offsets.push_back(unit.count(detail::part_begin(deal.total, parts, i)));
      }
    }
    check(MPI_Iscatterv(from, r.counts.data(), r.offsets.data(), unit.type, to, unit.count(own), unit.type, 0, with_root_.get(), r.next()),
          "MPI_Iscatterv");
    return requests;
  }
  begin_exchange(member_ == 0 ? writable(from) : to, member_ == 0, own, counts, deal, r);
  return requests;
}

Team::Begun MpiTeam::gather(const std::byte* from, std::byte* to, std::uint64_t own, std::span<const std::uint64_t> counts,
                            const Deal& deal) {
  auto requests = std::make_unique<Requests>();
  Requests& r = *requests;
  if (plain(deal)) {
    const Requests::Unit unit = r.unit(member_ == 0 ? deal.total : own, deal.element_bytes);
    if (member_ == 0) {
      r.counts.push_back(0);
      r.offsets.push_back(0);
      for (const std::uint64_t count : counts) {
        r.offsets.push_back(r.offsets.back() + r.counts.back());
        r.counts.push_back(unit.count(count));
      }
    }
    check(MPI_Igatherv(from, unit.count(own), unit.type, to, r.counts.data(), r.offsets.data(), unit.type, 0, with_root_.get(), r.next()),
          "MPI_Igatherv");
    return requests;
  }
  begin_exchange(member_ == 0 ? to : writable(from), member_ != 0, own, counts, deal, r);
  return requests;
}

// Parts that MPI_Iscatterv and MPI_Igatherv cannot tell, strided ones and those of arrays of more than 2^31 elements: a message to or from
// each engine, with a datatype that describes its part. (MPI_Ialltoallw could tell them, and hangs in Open MPI 4.1.4 where ranks have
// nothing to give or to take.) `own`: how many elements this engine has at `data`; `counts`: on rank 0, what each has of those at `data`.
void MpiTeam::begin_exchange(std::byte* data, bool sends, std::uint64_t own, std::span<const std::uint64_t> counts, const Deal& deal,
                             Requests& r) {
  const auto begin = [&](int peer, std::byte* at, Datatype&& type) {
    if (sends) {
      check(MPI_Isend(at, 1, type.get(), peer, part_tag, with_root_.get(), r.next()), "MPI_Isend");
    } else {
      check(MPI_Irecv(at, 1, type.get(), peer, part_tag, with_root_.get(), r.next()), "MPI_Irecv");
    }
    r.types.push_back(std::move(type));
  };
  const std::uint64_t size = deal.element_bytes;
  if (member_ != 0) {
    if (own != 0) begin(0, data, Datatype::elements(own, size, size));
    return;
  }
  std::uint64_t offset = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const std::uint64_t stride = deal.dist == Distribution::block ? size : counts.size() * size;
    // Where there is nothing, data may be null.
    if (counts[i] != 0) begin(static_cast<int>(i) + 1, data + offset, Datatype::elements(counts[i], size, stride));
    offset += deal.dist == Distribution::block ? counts[i] * size : size;
  }
}

Team::Begun MpiTeam::reduce(std::byte* data, std::uint64_t count, Element element, Operation operation) {
  const std::size_t size = detail::size_of(element);
  return std::make_unique<Segments>(count, size, [=, this](std::uint64_t first, int elements, MPI_Request* request) {
    std::byte* const at = data + first * size;
    const bool root = member_ == 0;
    check(MPI_Ireduce(root ? MPI_IN_PLACE : at, root ? at : nullptr, elements, mpi_type(element), mpi_operation(operation), 0,
                      with_root_.get(), request),
          "MPI_Ireduce");
  });
}

Team::Begun MpiTeam::barrier() {
  auto requests = std::make_unique<Requests>();
  check(MPI_Ibarrier(engines_.get(), requests->next()), "MPI_Ibarrier");
  return requests;
}

Team::Begun MpiTeam::allreduce(const std::byte* from, std::byte* to, std::uint64_t count, Element element, Operation operation) {
  const std::size_t size = detail::size_of(element);
  return std::make_unique<Segments>(count, size, [=, this](std::uint64_t first, int elements, MPI_Request* request) {
    const void* const input = from == to ? MPI_IN_PLACE : from + first * size;
    check(MPI_Iallreduce(input, to + first * size, elements, mpi_type(element), mpi_operation(operation), engines_.get(), request),
          "MPI_Iallreduce");
  });
}

Team::Begun MpiTeam::allgather_counts(const std::uint64_t& own, std::span<std::uint64_t> counts) {
  auto requests = std::make_unique<Requests>();
  check(MPI_Iallgather(&own, 1, MPI_UINT64_T, counts.data(), 1, MPI_UINT64_T, engines_.get(), requests->next()), "MPI_Iallgather");
  return requests;
}

Team::Begun MpiTeam::allgather(const std::byte* from, std::byte* to, std::size_t place, std::span<const std::uint64_t> counts,
                               std::uint64_t element_bytes) {
  auto requests = std::make_unique<Requests>();
  Requests& r = *requests;
  const std::uint64_t total = std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
  if (total <= most_at_once) {
    const Requests::Unit unit = r.unit(total, element_bytes);
    int begin = 0;
    for (const std::uint64_t count : counts) {
      r.counts.push_back(unit.count(count));
      r.offsets.push_back(begin);
      begin += r.counts.back();
    }
    check(MPI_Iallgatherv(from, r.counts[place], unit.type, to, r.counts.data(), r.offsets.data(), unit.type, engines_.get(), r.next()),
          "MPI_Iallgatherv");
    return requests;
  }
  // Too many for ints: each engine's part is broadcast from its place in the whole.
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const std::uint64_t bytes = counts[i] * element_bytes;
    if (i == place) std::copy_n(from, bytes, to);
    begin_broadcast(to, bytes, static_cast<int>(i), engines_.get(), r);
    to += bytes;
  }
  return requests;
}

Team::Begun MpiTeam::share(std::byte* data, std::uint64_t bytes, std::size_t source) {
  auto requests = std::make_unique<Requests>();
  begin_broadcast(data, bytes, static_cast<int>(source), engines_.get(), *requests);
  return requests;
}

Team::Begun MpiTeam::send(std::size_t to, std::span<const std::byte> bytes) {
  auto requests = std::make_unique<Requests>();
  Requests& r = *requests;
  const int peer = static_cast<int>(to) + 1;
  r.size = bytes.size();
  check(MPI_Isend(&r.size, 1, MPI_UINT64_T, peer, fold_tag, with_root_.get(), r.next()), "MPI_Isend");
  for (std::size_t at = 0; at < bytes.size(); at += piece_bytes) {
    check(MPI_Isend(bytes.data() + at, static_cast<int>(std::min(piece_bytes, bytes.size() - at)), MPI_BYTE, peer, fold_tag,
                    with_root_.get(), r.next()),
          "MPI_Isend");
  }
  return requests;
}

Team::Begun MpiTeam::receive(std::size_t from, Buffer& into) {
  return std::make_unique<Arrival>(static_cast<int>(from) + 1, into, with_root_.get());
}

Team::Begun MpiTeam::count_ill(std::int64_t& ill) {
  auto requests = std::make_unique<Requests>();
  check(MPI_Iallreduce(MPI_IN_PLACE, &ill, 1, MPI_INT64_T, MPI_SUM, engines_.get(), requests->next()), "MPI_Iallreduce");
  return requests;
}

void MpiTeam::drop_communicator() {
  attached_.reset();
  dropped_ = std::move(for_callables_);
}

void MpiTeam::make_communicator() {
  for_callables_ = Communicator::duplicate(engines_.get());
  dropped_ = Communicator();
  attached_ = std::make_unique<const boost::mpi::communicator>(for_callables_.get(), boost::mpi::comm_attach);
}

}  // namespace rankview::transport
