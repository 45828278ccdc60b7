// SPDX-License-Identifier: BSL-1.0
// Part of rankview: views, engines and load balancing over MPI.
#include <rankview/detail/archive.hpp>

#include <boost/archive/detail/archive_serializer_map.hpp>
#include <boost/archive/impl/archive_serializer_map.ipp>

// What Boost keeps for each archive of the classes that it meets through pointers.
namespace boost::archive::detail {

template class archive_serializer_map<rankview::detail::OutArchive>;
template class archive_serializer_map<rankview::detail::InArchive>;

}  // namespace boost::archive::detail
