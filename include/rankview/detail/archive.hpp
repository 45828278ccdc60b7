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
#include <boost/serialization/string.hpp>

#include <cstdint>
#include <string>
#include <type_traits>

namespace rankview::detail {

// Whether a class is sent as it lies in memory, without asking Boost; see codec.hpp.
template <class T>
struct travels_as_bytes;

// Boost.Serialization's end of a Writer: native bytes and no header, since both ends are the same build.
class OutArchive : public boost::archive::detail::common_oarchive<OutArchive> {
  using Base = boost::archive::detail::common_oarchive<OutArchive>;
  friend class boost::archive::detail::interface_oarchive<OutArchive>;
  friend class boost::archive::save_access;

 public:
  explicit OutArchive(Writer& out) : Base(boost::archive::no_header), out_(out) {}

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
  void save(const std::string& text) {
    out_.value(static_cast<std::uint64_t>(text.size()));
    out_.raw(text.data(), text.size());
  }

  template <class T>
  void save_override(T& value) {
    if constexpr (travels_as_bytes<std::remove_const_t<T>>::value) {
      out_.value(value);
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
  void save_override(const boost::archive::class_name_type& name) { save(std::string(name)); }
  void save_override(const boost::serialization::collection_size_type& size) { out_.value(static_cast<std::uint64_t>(size)); }
  void save_override(const boost::serialization::item_version_type& version) { out_.value(static_cast<std::uint32_t>(version)); }

  Writer& out_;
};

// Boost.Serialization's end of a Reader.
class InArchive : public boost::archive::detail::common_iarchive<InArchive> {
  using Base = boost::archive::detail::common_iarchive<InArchive>;
  friend class boost::archive::detail::interface_iarchive<InArchive>;
  friend class boost::archive::load_access;

 public:
  explicit InArchive(Reader& in) : Base(boost::archive::no_header), in_(in) {}

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
  void load(std::string& text) {
    const std::size_t size = in_.count(1);
    text.assign(reinterpret_cast<const char*>(in_.skip(size)), size);
  }

  template <class T>
  void load_override(T& value) {
    if constexpr (travels_as_bytes<T>::value) {
      value = in_.value<T>();
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
    std::string text;
    load(text);
    if (text.size() > BOOST_SERIALIZATION_MAX_KEY_SIZE - 1)
      throw DecodeError("a class name of " + std::to_string(text.size()) + " characters");
    std::memcpy(static_cast<char*>(name), text.c_str(), text.size() + 1);
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
};

}  // namespace rankview::detail

BOOST_SERIALIZATION_REGISTER_ARCHIVE(rankview::detail::OutArchive)
BOOST_SERIALIZATION_REGISTER_ARCHIVE(rankview::detail::InArchive)
BOOST_SERIALIZATION_USE_ARRAY_OPTIMIZATION(rankview::detail::OutArchive)
BOOST_SERIALIZATION_USE_ARRAY_OPTIMIZATION(rankview::detail::InArchive)
