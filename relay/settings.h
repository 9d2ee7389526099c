/* SPDX-License-Identifier: MIT */
/* All settings of the program: the tables of every room, one after the other.
 */
#ifndef BATON_RELAY_SETTINGS_H
#define BATON_RELAY_SETTINGS_H

#include "core/config.h"

/* A config with all tables, not loaded yet. The caller frees it. */
struct config *settings_create(void);

#endif
