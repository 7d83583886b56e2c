import Glibc

/// The text of an errno value, for people.
func errnoText(_ error: Int32) -> String { String(cString: strerror(error)) }
