// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#pragma once

#include <rankview/detail/stream.hpp>

#include <boost/archive/basic_archive.hpp>
#include <boost/archive/detail/common_iarchive.hpp>
#include <boost/archive/detail/common_oarchive.hpp>
#include <boost/archive/detail/register_archive.hpp>
#include <boost/mpl/bool.hpp>
#include <boost/serialization/collection_size_type.hpp>
#include <boost/serialization/item_version_type.hpp>
#include <boost/serialization/shared_ptr.hpp>
#include <boost/serialization/string.hpp>
#include <boost/serialization/unique_ptr.hpp>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeindex>
#include <typeinfo>
#include <utility>
#include <vector>

namespace rankview::inline abi_0_1::detail {

// Whether a class is sent without asking Boost, and how; see codec.hpp.
template <class T>
struct travels_by_codec;
template <class T>
void save_by_codec(Writer& out, const T& value);
template <class T>
void read_by_codec(Reader& in, T& value);

// Boost.Serialization's end of a Writer: native bytes and no header, since both ends are the same build. Knows which objects it has seen.
class OutArchive : public boost::archive::detail::common_oarchive<OutArchive> {
  using Base = boost::archive::detail::common_oarchive<OutArchive>;
  friend class boost::archive::detail::interface_oarchive<OutArchive>;
  friend class boost::archive::save_access;

 public:
  explicit OutArchive(Writer& out) : Base(boost::archive::no_header), out_(out) { out.archive = this; }
  OutArchive(const OutArchive&) = delete;
  OutArchive& operator=(const OutArchive&) = delete;
  ~OutArchive() override { out_.archive = nullptr; }

  // The number of an object that Boost does not know, from 1, and whether it is new.
  std::pair<std::uint32_t, bool> number_of(const void* object, const std::type_info& type) {
    const auto next = static_cast<std::uint32_t>(objects_.size() + 1);
    const auto [at, fresh] = objects_.try_emplace({object, type}, next);
    return {at->second, fresh};
  }

  void save_binary(const void* from, std::size_t count) { out_.raw(from, count); }

  template <class T>
  void save_array(const boost::serialization::array_wrapper<T>& array, unsigned) {
    out_.raw(array.address(), array.count() * sizeof(T));
  }

  struct use_array_optimization {
    template <class T>
    struct apply : boost::mpl::bool_<std::is_arithmetic_v<std::remove_const_t<T>>> {};
  };

 private:
  template <class T>
  void save(const T& value) {
    out_.value(value);
  }
  void save(const bool& value) { out_.value(value); }

  template <class T>
  void save_override(T& value) {
    if constexpr (travels_by_codec<std::remove_const_t<T>>::value) {
      save_by_codec(out_, std::as_const(value));
    } else {
      Base::save_override(value);
    }
  }
  // The archive's own bookkeeping, as narrow as it may be.
  void save_override(const boost::archive::class_id_type& id) { out_.value(static_cast<std::int16_t>(id)); }
  void save_override(const boost::archive::class_id_optional_type&) {}
  void save_override(const boost::archive::class_id_reference_type& id) { out_.value(static_cast<std::int16_t>(id)); }
  void save_override(const boost::archive::object_id_type& id) { out_.value(static_cast<std::uint32_t>(id)); }
  void save_override(const boost::archive::object_reference_type& id) { out_.value(static_cast<std::uint32_t>(id)); }
  void save_override(const boost::archive::version_type& version) { out_.value(static_cast<std::uint32_t>(version)); }
  void save_override(const boost::archive::tracking_type& tracking) { out_.value(static_cast<bool>(tracking)); }
  void save_override(const boost::archive::class_name_type& name) { out_.text(static_cast<const char*>(name)); }
  void save_override(const boost::serialization::collection_size_type& size) { out_.value(static_cast<std::uint64_t>(size)); }
  void save_override(const boost::serialization::item_version_type& version) { out_.value(static_cast<std::uint32_t>(version)); }

  Writer& out_;
  std::map<std::pair<const void*, std::type_index>, std::uint32_t> objects_;
};

// Boost.Serialization's end of a Reader.
class InArchive : public boost::archive::detail::common_iarchive<InArchive> {
  using Base = boost::archive::detail::common_iarchive<InArchive>;
  friend class boost::archive::detail::interface_iarchive<InArchive>;
  friend class boost::archive::load_access;

 public:
  explicit InArchive(Reader& in) : Base(boost::archive::no_header), in_(in) { in.archive = this; }
  InArchive(const InArchive&) = delete;
  InArchive& operator=(const InArchive&) = delete;
  ~InArchive() override { in_.archive = nullptr; }

  // The objects that Boost does not know, by their numbers. Throws DecodeError for one that is not there, or of another type.
  [[nodiscard]] bool is_next(std::uint32_t number) const { return number == objects_.size() + 1; }
  void add_object(std::uint32_t number, std::shared_ptr<void> object, const std::type_info& type) {
    objects_.resize(std::max<std::size_t>(objects_.size(), number), {nullptr, &type});
    objects_[number - 1].first = std::move(object);
  }
  [[nodiscard]] const std::shared_ptr<void>& object(std::uint32_t number, const std::type_info& type) const {
    if (number > objects_.size() || *objects_[number - 1].second != type || objects_[number - 1].first == nullptr)
      throw DecodeError("a pointer to an object that is not there");
    return objects_[number - 1].first;
  }

  void load_binary(void* to, std::size_t count) { in_.raw(to, count); }

  template <class T>
  void load_array(boost::serialization::array_wrapper<T>& array, unsigned) {
    in_.raw(array.address(), array.count() * sizeof(T));
  }

  struct use_array_optimization {
    template <class T>
    struct apply : boost::mpl::bool_<std::is_arithmetic_v<std::remove_const_t<T>>> {};
  };

 private:
  template <class T>
  void load(T& value) {
    value = in_.value<T>();
  }
  void load(bool& value) { value = in_.value<std::uint8_t>() != 0; }

  template <class T>
  void load_override(T& value) {
    if constexpr (travels_by_codec<T>::value) {
      read_by_codec(in_, value);
    } else {
      Base::load_override(value);
    }
  }
  void load_override(boost::archive::class_id_type& id) { id = boost::archive::class_id_type(static_cast<int>(in_.value<std::int16_t>())); }
  void load_override(boost::archive::class_id_optional_type&) {}
  void load_override(boost::archive::class_id_reference_type& id) {
    id = boost::archive::class_id_reference_type(boost::archive::class_id_type(static_cast<int>(in_.value<std::int16_t>())));
  }
  void load_override(boost::archive::object_id_type& id) { id = boost::archive::object_id_type(in_.value<std::uint32_t>()); }
  void load_override(boost::archive::object_reference_type& id) {
    id = boost::archive::object_reference_type(boost::archive::object_id_type(in_.value<std::uint32_t>()));
  }
  void load_override(boost::archive::version_type& version) {
    version = boost::archive::version_type(static_cast<unsigned>(in_.value<std::uint32_t>()));
  }
  void load_override(boost::archive::tracking_type& tracking) { tracking = boost::archive::tracking_type(in_.value<std::uint8_t>() != 0); }
  void load_override(boost::archive::class_name_type& name) {
    const std::string_view text = in_.text();
    if (text.size() > BOOST_SERIALIZATION_MAX_KEY_SIZE - 1)
      throw DecodeError("a class name of " + std::to_string(text.size()) + " characters");
    text.copy(static_cast<char*>(name), text.size());
    static_cast<char*>(name)[text.size()] = '\0';
  }
  void load_override(boost::serialization::collection_size_type& size) {
    const auto count = in_.value<std::uint64_t>();
    // Every element takes at least a byte, but for empty classes, which nobody sends by the thousand.
    if (count > in_.remaining() + 4096)
      throw DecodeError("a container of " + std::to_string(count) + " elements with " + std::to_string(in_.remaining()) + " bytes left");
    size = boost::serialization::collection_size_type(count);
  }
  void load_override(boost::serialization::item_version_type& version) {
    version = boost::serialization::item_version_type(static_cast<unsigned>(in_.value<std::uint32_t>()));
  }

  Reader& in_;
  std::vector<std::pair<std::shared_ptr<void>, const std::type_info*>> objects_;
};

}  // namespace rankview::detail

BOOST_SERIALIZATION_REGISTER_ARCHIVE(rankview::detail::OutArchive)
BOOST_SERIALIZATION_REGISTER_ARCHIVE(rankview::detail::InArchive)
BOOST_SERIALIZATION_USE_ARRAY_OPTIMIZATION(rankview::detail::OutArchive)
BOOST_SERIALIZATION_USE_ARRAY_OPTIMIZATION(rankview::detail::InArchive)
