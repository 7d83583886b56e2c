import CGuise
import Glibc

/// Connected pairs of sockets, made in stock. The kernel says of both ends that who made them is at the other one
/// (SO_PEERCRED), so they are made as nobody: a server that decides by that instead of asking Guise must not take its
/// clients for root. To become nobody and root again costs more than the pair does.
struct SocketPairs {
    private static let stock = 16
    private var spare: [Bool: [(Int32, Int32)]] = [:]

    /// Two ends for packets from the authority, which takes none: what somebody sent there, descriptors too, would be
    /// closed with it, and closing can take as long as whoever serves a file likes.
    mutating func takeChannel() throws(Refused) -> (own: Int32, theirs: Int32) {
        let (own, theirs) = try take(messages: true)
        _ = shutdown(own, Int32(SHUT_RD))
        // A packet may be sent where three quarters are free (unix_writable): as many as usual are to fit.
        guise_socket_widen(own, 4)
        return (own, theirs)
    }

    /// The two ends, the caller's to close.
    ///
    /// - Parameter messages: SOCK_SEQPACKET instead of SOCK_STREAM.
    mutating func take(messages: Bool) throws(Refused) -> (Int32, Int32) {
        if let pair = spare[messages]?.popLast() { return pair }
        var made: [(Int32, Int32)] = []
        let make = {
            for _ in 0..<Self.stock {
                var pair: (Int32, Int32) = (-1, -1)
                let error = guise_unix_pair(
                    Int32(messages ? SOCK_SEQPACKET.rawValue : SOCK_STREAM.rawValue), &pair.0, &pair.1)
                guard error == 0 else { return error }
                made.append(pair)
            }
            return 0
        }
        let error = geteuid() == 0 ? UnixFiles.assuming(.nobody, make) : make()
        guard let pair = made.popLast() else {
            throw Refused(
                .limit, "the authority can make no more sockets (\(errnoText(-error))); try again later")
        }
        spare[messages] = made
        return pair
    }
}
