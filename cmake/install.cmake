# SPDX-License-Identifier: MIT
include(GNUInstallDirs)
install(TARGETS baton RUNTIME DESTINATION ${CMAKE_INSTALL_SBINDIR})
