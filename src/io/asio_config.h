// How this module compiles Boost.Asio: include this before any <boost/asio/…>, in src/io/*.cc and nowhere else.
// Asio's non-template code is compiled once, in asio_impl.cc, which keeps each user at about two seconds of compile time.
#pragma once

#define BOOST_ASIO_SEPARATE_COMPILATION
#define BOOST_ASIO_NO_DEPRECATED
#define BOOST_ASIO_DISABLE_BOOST_DATE_TIME
