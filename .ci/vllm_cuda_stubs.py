"""Stand-ins for the CUDA libraries that torch links to but a CPU server never calls.

Usage: vllm_cuda_stubs.py SITE_PACKAGES. Each stub defines every versioned symbol that torch imports from it; empty
libraries are not enough, because the loader checks the versions. Needs gcc and readelf.
"""
import glob, os, re, subprocess, sys, tempfile, collections
lib=os.path.join(sys.argv[1],'torch','lib')
have={os.path.basename(p) for p in glob.glob(lib+'/*.so*')}
libs=[p for p in glob.glob(lib+'/lib*.so') if not os.path.islink(p)]
files=set(); syms=collections.defaultdict(set); loose=set(); defined=set()
for p in libs:
    d=subprocess.run(['readelf','-dW',p],capture_output=True,text=True).stdout
    files|={x for x in re.findall(r'NEEDED.*\[(.*)\]',d) if re.match(r'lib(cu|nv|nccl)',x)}
    # version name -> file it comes from
    v=subprocess.run(['readelf','-VW',p],capture_output=True,text=True).stdout
    vf={}; cur=None
    for line in v.splitlines():
        m=re.search(r'File: (\S+)',line)
        if m: cur=m.group(1)
        m=re.search(r'Name: (\S+)\s+Flags',line)
        if m and cur: vf[m.group(1)]=cur
    s=subprocess.run(['readelf','--dyn-syms','-W',p],capture_output=True,text=True).stdout
    for line in s.splitlines():
        c=line.split()
        if len(c)<8 or not c[0].endswith(':'): continue
        name=c[7]
        if c[6]!='UND': defined.add(name.split('@')[0]); continue
        if '@' in name:
            n,ver=re.split('@+',name)[:2]
            f=vf.get(ver)
            if f and re.match(r'lib(cu|nv|nccl)',f): syms[f].add((n,ver))
        elif re.match(r'_?_?(cu|nccl|nv)',name): loose.add(name)
loose-=defined
files-={f for f in files if f in have}
for f in sorted(files):
    byver=collections.defaultdict(set)
    for n,ver in syms[f]: byver[ver].add(n)
    if f.startswith('libcudart'): extra=loose
    else: extra=set()
    with tempfile.TemporaryDirectory() as t:
        with open(t+'/s.c','w') as o:
            for n in sorted(set().union(extra,*byver.values())): o.write(f'int {n}(void){{return 100;}}\n')
        with open(t+'/s.map','w') as o:
            for ver,ns in byver.items(): o.write('%s { global: %s };\n'%(ver,' '.join(x+';' for x in sorted(ns))))
        a=['gcc','-w','-fno-builtin','-shared','-fPIC','-o',os.path.join(lib,f),'-Wl,-soname,'+f,t+'/s.c']
        if byver: a.append('-Wl,--version-script='+t+'/s.map')
        subprocess.run(a,check=True)
    print(f,sum(map(len,byver.values())),len(extra))
