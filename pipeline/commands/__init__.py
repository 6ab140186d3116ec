"""The commands of `keraspipe`, one file each: `arguments` adds the options, `command` runs."""
