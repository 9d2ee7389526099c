# SPDX-License-Identifier: MIT
include(GNUInstallDirs)
install(TARGETS baton RUNTIME DESTINATION ${CMAKE_INSTALL_SBINDIR})
install(FILES docs/baton.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES packaging/baton.conf packaging/baton.service docs/operator.md
        docs/settings.md docs/reporting.md docs/control-headers.md
        DESTINATION ${CMAKE_INSTALL_DOCDIR})
