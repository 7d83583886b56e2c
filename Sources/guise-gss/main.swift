// The process that judges the Kerberos tokens of one service for the authority, which starts it:
//
//   guise-gss USER DELEGATES       descriptors: as GSSDescriptor says
//
// USER is the uid to run as, or "-" to stay. What is wrong with the keytab, clients are told.

import Glibc
import GuiseProtocol

func end(_ status: Int32, _ line: String) -> Never {
    let bytes = Array("guise-gss: \(line)\n".utf8)
    _ = write(STDERR_FILENO, bytes, bytes.count)
    exit(status)
}

#if Kerberos
    import CGSSAPI

    let arguments = CommandLine.arguments
    guard arguments.count == 3, fcntl(GSSDescriptor.keytab, F_GETFD) >= 0 else {
        end(64, "started by guised, and by nobody else")
    }
    let error = guise_gss_confine(UInt32(arguments[1]) ?? .max, UInt32(GSSDescriptor.lanes.upperBound))
    guard error == 0 else { end(1, "cannot be confined: \(String(cString: strerror(-error)))") }
    GSSWorker(keytab: "FILE:/proc/self/fd/\(GSSDescriptor.keytab)", delegates: arguments[2] == "1").run()
#else
    end(69, "built without the package trait Kerberos")
#endif
