# At installation: units of systemd, which name the programs where this prefix puts them. dist/ has
# them for /usr, as a package does.
foreach(unit IN LISTS ATLS_UNITS)
    get_filename_component(name "${unit}" NAME)
    file(READ "${unit}" text)
    string(REPLACE "=/usr/" "=${CMAKE_INSTALL_PREFIX}/" text "${text}")
    file(WRITE "${ATLS_UNITS_STAGE}/${name}" "${text}")
    file(INSTALL DESTINATION "${CMAKE_INSTALL_PREFIX}/lib/systemd/system" TYPE FILE
        FILES "${ATLS_UNITS_STAGE}/${name}")
endforeach()
