/// What was looked at lately, up to a size: what was not asked for since the hand last passed goes first.
struct RecentCache<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private struct Entry {
        let key: Key
        var value: Value
        var weight: Int
        var isAskedFor = false
    }

    private var places: [Key: Int] = [:]
    private var entries: [Entry?] = []
    private var free: [Int] = []
    private var hand = 0
    private var size = 0
    private let limit: Int

    /// - Parameter limit: the most that all of it weighs.
    init(limit: Int) { self.limit = limit }

    /// What is known of a key; it stays known for longer.
    mutating func value(_ key: Key) -> Value? {
        guard let place = places[key] else { return nil }
        entries[place]?.isAskedFor = true
        return entries[place]?.value
    }

    mutating func insert(_ value: Value, for key: Key, weight: Int) {
        remove(key)
        // What weighs too much would throw all else out.
        guard weight <= limit else { return }
        while size + weight > limit { pass() }
        let entry = Entry(key: key, value: value, weight: weight)
        if let place = free.popLast() {
            entries[place] = entry
            places[key] = place
        } else {
            places[key] = entries.count
            entries.append(entry)
        }
        size += weight
    }

    mutating func remove(_ key: Key) {
        guard let place = places.removeValue(forKey: key) else { return }
        size -= entries[place]?.weight ?? 0
        entries[place] = nil
        free.append(place)
    }

    /// Has the hand pass one entry, which goes unless somebody asked for it.
    private mutating func pass() {
        hand = hand + 1 < entries.count ? hand + 1 : 0
        guard let entry = entries[hand] else { return }
        if entry.isAskedFor { entries[hand]?.isAskedFor = false } else { remove(entry.key) }
    }
}
