# uninstall.cmake - takes away what `cmake --install` put there
#
#	cmake --build build-release --target uninstall
#
# Removes the files that install_manifest.txt names, below $DESTDIR as the
# installation was, and then folders of ours that have become empty.  What was
# changed since (mtcpd.conf) goes, too; what others put beside it stays.
set(manifest "${BUILD}/install_manifest.txt")
if(NOT EXISTS "${manifest}")
  message(FATAL_ERROR "nothing was installed from ${BUILD}")
endif()
file(STRINGS "${manifest}" files)
set(folders)
foreach(file IN LISTS files)
  set(path "$ENV{DESTDIR}${file}")
  if(EXISTS "${path}" OR IS_SYMLINK "${path}")
    file(REMOVE "${path}")
    message(STATUS "removed ${path}")
  endif()
  get_filename_component(folder "${path}" DIRECTORY)
  list(APPEND folders "${folder}")
endforeach()

# Ours by name alone: /usr/local/lib and its like are everybody's.
list(REMOVE_DUPLICATES folders)
foreach(folder IN LISTS folders)
  while(folder MATCHES "/(mtcp|mtcpd|mtcpclient|mtcpd\\.service\\.d)$" AND
        EXISTS "${folder}")
    file(GLOB inside LIST_DIRECTORIES true "${folder}/*")
    if(inside)
      break()
    endif()
    file(REMOVE_RECURSE "${folder}")
    get_filename_component(folder "${folder}" DIRECTORY)
  endwhile()
endforeach()
file(REMOVE "${manifest}")
