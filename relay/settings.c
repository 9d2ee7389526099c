/* SPDX-License-Identifier: MIT */
#include "relay/settings.h"

#include "http/server.h"
#include "relay/relay_settings.h"
#include "smtp/server.h"
#include "sql/database.h"
#include "tracking/compose.h"

struct config *settings_create(void)
{
    struct config *config = config_create();
    config_add(config, relay_settings, relay_setting_count);
    config_add(config, sql_settings, sql_setting_count);
    config_add(config, smtp_settings, smtp_setting_count);
    config_add(config, tracking_settings, tracking_setting_count);
    config_add(config, http_settings, http_setting_count);
    return config;
}
