// The one place where Boost.Asio's own code is compiled.
#include "io/asio_config.h"

#include <boost/asio/impl/src.hpp>
