package png

// adler is the checksum Adler-32 (RFC 1950, 8.2): its two sums. It begins with 1 and 0.
type adler struct{ a, b uint32 }

const (
	adlerModulus = 65521
	adlerBlock   = 32
	adlerBlocks  = 5552 / adlerBlock // after which a sum may not fit 32 bits
)

func (s *adler) add(p []byte) {
	if addBlocks != nil {
		for len(p) >= adlerBlock {
			n := min(len(p)/adlerBlock, adlerBlocks)
			s.a, s.b = addBlocks(&p[0], n, s.a, s.b)
			s.reduce()
			p = p[n*adlerBlock:]
		}
	}
	for len(p) > 0 {
		part := p[:min(len(p), adlerBlock*adlerBlocks)]
		a, b := s.a, s.b
		for _, v := range part {
			a += uint32(v)
			b += a
		}
		s.a, s.b = a, b
		s.reduce()
		p = p[len(part):]
	}
}

func (s *adler) reduce() { s.a, s.b = s.a%adlerModulus, s.b%adlerModulus }

func (s *adler) sum() uint32 { return s.b<<16 | s.a }
